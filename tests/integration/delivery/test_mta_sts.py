"""MTA-STS policies found by real DNS and fetched by real HTTPS."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import DnsSettings
from mailengine.domain.delivery.mta_sts import MtaSts
from mailengine.domain.delivery.mx import MxResolver
from peers.certificates import Authority
from peers.dns_zone import DnsZone
from peers.policy_host import PolicyHost

pytestmark = pytest.mark.anyio

DOMAIN = "example.test"
ENFORCE = ("version: STSv1", "mode: enforce", "mx: mx.example.test", "max_age: 86400")
TESTING = ("version: STSv1", "mode: testing", "mx: mx.example.test", "max_age: 86400")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def host(authority: Authority, dns_zone: DnsZone) -> AsyncIterator[PolicyHost]:
    dns_zone.records = {f"mta-sts.{DOMAIN}": [("A", "127.0.0.1")]}
    publish(dns_zone, "1")
    async with PolicyHost(authority.server_context(f"mta-sts.{DOMAIN}")) as host:
        host.serve(*ENFORCE)
        yield host


@pytest.fixture
def sts(dns_zone: DnsZone, clock: ManualClock, host: PolicyHost, authority: Authority) -> MtaSts:
    return sts_of(dns_zone, clock, host, authority.ca_file)


def sts_of(
    zone: DnsZone,
    clock: ManualClock,
    host: PolicyHost,
    ca_file: str | None,
    *,
    allow_private: bool = True,
    fetch_timeout_seconds: float = 10,
) -> MtaSts:
    settings = DnsSettings(nameservers=(zone.host,), port=zone.port, timeout_seconds=1)
    resolver = MxResolver(settings, clock, allow_private=allow_private)
    return MtaSts(
        settings,
        resolver,
        clock,
        https_port=host.port,
        ca_file=ca_file,
        fetch_timeout_seconds=fetch_timeout_seconds,
    )


def publish(zone: DnsZone, record_id: str) -> None:
    zone.records[f"_mta-sts.{DOMAIN}"] = [("TXT", f'"v=STSv1; id={record_id};"')]


async def mode(sts: MtaSts, domain: str = DOMAIN) -> str | None:
    policy = await sts.policy(domain)
    return None if policy is None else policy.mode


class TestFetching:
    async def test_policy(self, sts: MtaSts, host: PolicyHost) -> None:
        policy = await sts.policy(DOMAIN)
        assert policy is not None
        assert (policy.mode, policy.mx, policy.max_age_seconds) == ("enforce", ("mx.example.test",), 86400)
        head = host.requests[0].lower()
        assert head.startswith("get /.well-known/mta-sts.txt http/1.1\r\n")
        assert f"\r\nhost: mta-sts.{DOMAIN}\r\n" in head

    async def test_many_ask_once(self, sts: MtaSts, host: PolicyHost) -> None:
        found = await asyncio.gather(*(mode(sts) for _ in range(20)))
        assert set(found) == {"enforce"}
        assert len(host.requests) == 1

    async def test_nothing_published(self, sts: MtaSts, host: PolicyHost, dns_zone: DnsZone) -> None:
        del dns_zone.records[f"_mta-sts.{DOMAIN}"]
        assert await mode(sts) is None
        assert host.requests == []

    @pytest.mark.parametrize("domain", ["", "a b", "x/../y", "user@host", "127.0.0.1:80", "a\r\nHost: b"])
    async def test_what_is_no_domain_is_not_asked_for(
        self, sts: MtaSts, host: PolicyHost, domain: str
    ) -> None:
        assert await mode(sts, domain) is None
        assert host.requests == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"status": "404 Not Found"}, "404"),
            ({"status": "301 Moved", "extra": "Location: /other\r\n"}, "redirect"),
            ({"content_type": "text/html"}, "type"),
            ({"body": b"mode: enforce\n"}, "invalid"),
            ({"body": "\r\n".join(ENFORCE).encode() + b"\r\n" * 70_000}, "too large"),
            (
                {"extra": "Content-Encoding: gzip\r\n", "body": gzip.compress("\r\n".join(ENFORCE).encode())},
                "gzip",
            ),
            ({"extra": "Content-Length: 9999\r\n"}, "cut short"),
            ({"status": "\x00"}, "no HTTP"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_not_a_policy(
        self, sts: MtaSts, host: PolicyHost, changes: dict[str, object], words: str
    ) -> None:
        for name, value in changes.items():
            setattr(host, name, value)
        assert await mode(sts) is None
        assert len(host.requests) == 1

    async def test_web_server_that_says_nothing(
        self, authority: Authority, dns_zone: DnsZone, clock: ManualClock, host: PolicyHost
    ) -> None:
        host.silent = True
        sts = sts_of(dns_zone, clock, host, authority.ca_file, fetch_timeout_seconds=0.2)
        assert await mode(sts) is None

    async def test_first_address_dead(self, sts: MtaSts, dns_zone: DnsZone) -> None:
        dns_zone.records[f"mta-sts.{DOMAIN}"] = [("A", "127.0.0.9"), ("A", "127.0.0.1")]
        assert await mode(sts) == "enforce"


class TestTrust:
    async def test_unknown_authority(self, dns_zone: DnsZone, clock: ManualClock, host: PolicyHost) -> None:
        assert await mode(sts_of(dns_zone, clock, host, None)) is None
        assert host.requests == []

    async def test_certificate_for_another_name(
        self, authority: Authority, dns_zone: DnsZone, clock: ManualClock, host: PolicyHost
    ) -> None:
        async with PolicyHost(authority.server_context("mta-sts.other.test", "127.0.0.1")) as other:
            other.serve(*ENFORCE)
            assert await mode(sts_of(dns_zone, clock, other, authority.ca_file)) is None
            assert other.requests == []

    async def test_private_address_is_not_connected_to(
        self, authority: Authority, dns_zone: DnsZone, clock: ManualClock, host: PolicyHost
    ) -> None:
        sts = sts_of(dns_zone, clock, host, authority.ca_file, allow_private=False)
        assert await mode(sts) is None
        assert host.requests == []


class TestMemory:
    async def test_same_version_is_not_fetched_again(
        self, sts: MtaSts, host: PolicyHost, dns_zone: DnsZone, clock: ManualClock
    ) -> None:
        for _ in range(3):
            assert await mode(sts) == "enforce"
            clock.advance(timedelta(seconds=601))
        assert len(host.requests) == 1
        assert sum(kind == "TXT" for _name, kind in dns_zone.asked) == 3

    async def test_new_version_is(
        self, sts: MtaSts, host: PolicyHost, dns_zone: DnsZone, clock: ManualClock
    ) -> None:
        assert await mode(sts) == "enforce"
        host.serve(*TESTING)
        publish(dns_zone, "2")
        clock.advance(timedelta(seconds=601))
        assert await mode(sts) == "testing"

    async def test_fetched_again_before_it_ends(
        self, sts: MtaSts, host: PolicyHost, clock: ManualClock
    ) -> None:
        assert await mode(sts) == "enforce"
        clock.advance(timedelta(seconds=43_201))
        assert await mode(sts) == "enforce"
        clock.advance(timedelta(seconds=43_201))
        assert await mode(sts) == "enforce"
        assert len(host.requests) == 3

    @pytest.mark.parametrize("trouble", ["record gone", "DNS fails", "web server fails", "new one invalid"])
    async def test_kept_until_its_age_whatever_happens(
        self, sts: MtaSts, host: PolicyHost, dns_zone: DnsZone, clock: ManualClock, trouble: str
    ) -> None:
        assert await mode(sts) == "enforce"
        publish(dns_zone, "2")
        if trouble == "record gone":
            del dns_zone.records[f"_mta-sts.{DOMAIN}"]
        elif trouble == "DNS fails":
            dns_zone.servfail = {f"_mta-sts.{DOMAIN}"}
        elif trouble == "web server fails":
            host.status = "503 Service Unavailable"
        else:
            host.serve("version: STSv1", "mode: none")
        clock.advance(timedelta(seconds=86_399))
        assert await mode(sts) == "enforce"
        clock.advance(timedelta(seconds=1))
        assert await mode(sts) is None

    async def test_failed_fetch_rests(self, sts: MtaSts, host: PolicyHost, clock: ManualClock) -> None:
        host.status = "503 Service Unavailable"
        assert await mode(sts) is None
        host.serve(*ENFORCE)
        clock.advance(timedelta(seconds=300))
        assert await mode(sts) is None
        clock.advance(timedelta(seconds=301))
        assert await mode(sts) == "enforce"
        assert len(host.requests) == 2
