"""From a domain to a session: real DNS, real SMTP servers, MTA-STS. The nth connection plays the nth script."""

import random
from datetime import UTC, datetime

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import DnsSettings, WorkerSettings
from mailengine.domain.delivery.mta_sts import MtaSts
from mailengine.domain.delivery.mx import MxResolver
from mailengine.domain.delivery.routes import DirectRoute, NoRoute, RelayRoute
from mailengine.domain.delivery.servers import Servers
from mailengine.domain.delivery.smtp import ConnectFailed, Session
from peers.certificates import Authority
from peers.dns_zone import DnsZone
from peers.policy_host import PolicyHost
from peers.recording_source import RecordingSource, letter
from peers.scripted_smtp import QUIT, ScriptedSmtp, opening, transaction
from peers.smtp_client import endpoint

pytestmark = pytest.mark.anyio

DOMAIN = "example.test"
DELIVERED = opening() + transaction("a") + QUIT
SECURED = "S: 220 x\nC: EHLO *\nS: 250-x\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\n"
SECURELY_DELIVERED = SECURED + opening().split("\n", 1)[1] + transaction("a") + QUIT
DEAD = "127.0.0.9"  # a loopback address where the scripted server does not listen


def publish(zone: DnsZone, *hosts: tuple[str, str], domain: str = DOMAIN) -> None:
    """MX records in this order of preference; an empty address: the host has none."""
    zone.records[domain] = [("MX", f"{n} {name}.") for n, (name, _address) in enumerate(hosts)]
    for name, address in hosts:
        zone.records[name] = [("AAAA" if ":" in address else "A", address)] if address else [("TXT", '"x"')]


def route_to(
    zone: DnsZone,
    server: ScriptedSmtp,
    *,
    domain: str = DOMAIN,
    allow_private: bool = True,
    policies: PolicyHost | None = None,
    ca_file: str | None = None,
    **options: str,
) -> DirectRoute:
    settings = DnsSettings(nameservers=(zone.host,), port=zone.port, timeout_seconds=1)
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    resolver = MxResolver(settings, clock, chance=random.Random(7), allow_private=allow_private)
    sts = MtaSts(settings, resolver, clock, https_port=policies.port if policies else 1, ca_file=ca_file)
    return DirectRoute(
        domain,
        resolver,
        sts,
        Servers(per_server=10, most=100),
        WorkerSettings(),
        port=server.port,
        connect_timeout_seconds=5,
        ca_file=ca_file,
        **{"helo": "client.test"} | options,
    )


async def delivered(route: DirectRoute) -> Session:
    source = RecordingSource([letter("a")])
    connection = await route.open(lambda: True)
    assert connection is not None
    await connection.session.run(source)
    await connection.close()
    assert source.fates == {"a": "accepted"}
    return connection.session


async def refusal(route: DirectRoute) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await route.open(lambda: True)
    return caught.value


class TestHosts:
    async def test_the_most_preferred(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx1.provider.test", "127.0.0.1"), ("mx2.provider.test", "127.0.0.1"))
        async with ScriptedSmtp(DELIVERED) as server:
            route = route_to(dns_zone, server)
            session = await delivered(route)
        assert session.where == f"mx1.provider.test:{server.port}"
        assert server.commands[0] == "EHLO client.test"
        assert route.name == DOMAIN

    async def test_the_domain_itself(self, dns_zone: DnsZone) -> None:
        dns_zone.records = {DOMAIN: [("A", "127.0.0.1")]}
        async with ScriptedSmtp(DELIVERED) as server:
            session = await delivered(route_to(dns_zone, server))
        assert session.where == f"{DOMAIN}:{server.port}"

    @pytest.mark.parametrize(
        "first",
        [
            "S: 421 4.3.2 busy",
            "S: 554 5.7.1 go away",
            "S: 521 5.3.2 no mail here",
            "",
            "S: 220 x\nC: EHLO *\nS: 421 4.3.2 busy",
        ],
        ids=["421", "554", "521", "hangs up", "EHLO"],
    )
    async def test_the_next_when_one_refuses(self, dns_zone: DnsZone, first: str) -> None:
        publish(dns_zone, ("mx1.test", "127.0.0.1"), ("mx2.test", "127.0.0.2"))
        async with ScriptedSmtp(first, DELIVERED, also=["127.0.0.2"]) as server:
            session = await delivered(route_to(dns_zone, server))
        assert session.where == f"mx2.test:{server.port}"

    async def test_the_next_when_one_is_dead_or_has_no_address(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx1.test", ""), ("mx2.test", DEAD), ("mx3.test", "127.0.0.1"))
        async with ScriptedSmtp(DELIVERED) as server:
            session = await delivered(route_to(dns_zone, server))
        assert session.where == f"mx3.test:{server.port}"

    async def test_the_next_address_of_the_same_host(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx.test", "127.0.0.1"))
        dns_zone.records["mx.test"] += [("A", DEAD), ("AAAA", "::1")]
        async with ScriptedSmtp(DELIVERED) as server:
            await delivered(route_to(dns_zone, server))

    async def test_all_fail_and_the_words_of_a_server_count_most(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx1.test", DEAD), ("mx2.test", "127.0.0.1"))
        async with ScriptedSmtp("S: 450 4.7.1 later") as server:
            failed = await refusal(route_to(dns_zone, server))
        assert (failed.stage, failed.reply and failed.reply.code) == ("greeting", 450)
        assert "mx1.test:" in failed.detail
        assert "450 4.7.1 later" in failed.detail

    async def test_no_more_than_six(self, dns_zone: DnsZone) -> None:
        addresses = [f"127.0.0.{n}" for n in range(1, 10)]
        publish(dns_zone, *((f"mx{n}.test", address) for n, address in enumerate(addresses)))
        async with ScriptedSmtp(*["S: 421 4.3.2 busy"] * 9, also=addresses[1:]) as server:
            await refusal(route_to(dns_zone, server))
        assert server.connections == 6

    async def test_source_address_chooses_the_family(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx1.test", "::1"), ("mx2.test", "127.0.0.1"))
        async with ScriptedSmtp(DELIVERED) as server:
            session = await delivered(route_to(dns_zone, server, source_address="127.0.0.1"))
            failed = await refusal(route_to(dns_zone, server, source_address="2001:db8::1"))
        assert session.where.startswith("mx2.test")
        assert failed.stage == "connect"

    async def test_no_host_of_that_family(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx.test", "127.0.0.1"))
        async with ScriptedSmtp() as server:
            failed = await refusal(route_to(dns_zone, server, source_address="::1"))
        assert failed.detail == "none of its mail hosts can be reached from ::1"
        assert server.connections == 0


class TestNoRoute:
    @pytest.mark.parametrize(
        ("records", "enhanced", "hard"),
        [
            ([], "5.1.2", True),
            ([("MX", "0 .")], "5.1.10", True),
            ([("MX", "10 gone.test.")], "5.4.4", False),
            ([("TXT", '"parked"')], "5.4.4", False),
        ],
        ids=["no domain", "null MX", "no such host", "no address"],
    )
    async def test_for_good(
        self, dns_zone: DnsZone, records: list[tuple[str, str]], enhanced: str, hard: bool
    ) -> None:
        dns_zone.records = {DOMAIN: records} if records else {}
        async with ScriptedSmtp() as server:
            route = route_to(dns_zone, server)
            with pytest.raises(NoRoute, match=f"no mail to {DOMAIN}: ") as caught:
                await route.open(lambda: True)
        verdict = caught.value.verdict
        assert (verdict.outcome, verdict.enhanced, verdict.hard) == ("rejected", enhanced, hard)

    async def test_private_addresses(self, dns_zone: DnsZone) -> None:
        publish(dns_zone, ("mx.test", "127.0.0.1"))
        async with ScriptedSmtp() as server:
            with pytest.raises(NoRoute, match="only private addresses"):
                await route_to(dns_zone, server, allow_private=False).open(lambda: True)
        assert server.connections == 0

    async def test_dns_that_fails_is_for_now(self, dns_zone: DnsZone) -> None:
        dns_zone.servfail = {DOMAIN}
        async with ScriptedSmtp() as server:
            failed = await refusal(route_to(dns_zone, server))
        assert failed.stage == "dns"


class TestTls:
    async def test_opportunistic_without_a_policy(self, dns_zone: DnsZone, authority: Authority) -> None:
        publish(dns_zone, ("mx.test", "127.0.0.1"))
        async with ScriptedSmtp(SECURELY_DELIVERED, tls=authority.server_context("other.test")) as server:
            session = await delivered(route_to(dns_zone, server))
        assert session.capabilities.tls_version is not None


class TestMtaSts:
    @pytest.fixture
    def policies(self, dns_zone: DnsZone, authority: Authority) -> PolicyHost:
        dns_zone.records[f"_mta-sts.{DOMAIN}"] = [("TXT", '"v=STSv1; id=1;"')]
        dns_zone.records[f"mta-sts.{DOMAIN}"] = [("A", "127.0.0.1")]
        host = PolicyHost(authority.server_context(f"mta-sts.{DOMAIN}"))
        self.demand(host, "enforce", "*.good.test")
        return host

    @staticmethod
    def demand(host: PolicyHost, mode: str, mx: str) -> None:
        host.serve("version: STSv1", f"mode: {mode}", f"mx: {mx}", "max_age: 86400")

    async def test_verified(self, dns_zone: DnsZone, authority: Authority, policies: PolicyHost) -> None:
        publish(dns_zone, ("mx.evil.test", "127.0.0.1"), ("mx.good.test", "127.0.0.1"))
        context = authority.server_context("mx.good.test")
        async with policies, ScriptedSmtp(SECURELY_DELIVERED, tls=context) as server:
            session = await delivered(
                route_to(dns_zone, server, policies=policies, ca_file=authority.ca_file)
            )
        assert session.where.startswith("mx.good.test")
        assert session.capabilities.tls_version is not None

    @pytest.mark.parametrize("script", [opening() + "EOF", SECURED], ids=["no STARTTLS", "other name"])
    async def test_not_delivered_without(
        self, dns_zone: DnsZone, authority: Authority, policies: PolicyHost, script: str
    ) -> None:
        publish(dns_zone, ("mx.good.test", "127.0.0.1"))
        context = authority.server_context("other.test")
        async with policies, ScriptedSmtp(script, DELIVERED, tls=context) as server:
            failed = await refusal(route_to(dns_zone, server, policies=policies, ca_file=authority.ca_file))
        assert failed.stage == "tls"
        assert server.connections == 1
        assert not any(command.startswith("MAIL") for command in server.commands)

    async def test_the_next_host_when_one_fails(
        self, dns_zone: DnsZone, authority: Authority, policies: PolicyHost
    ) -> None:
        publish(dns_zone, ("mx1.good.test", "127.0.0.1"), ("mx2.good.test", "127.0.0.1"))
        context = authority.server_context("mx2.good.test")
        async with policies, ScriptedSmtp(SECURED, SECURELY_DELIVERED, tls=context) as server:
            session = await delivered(
                route_to(dns_zone, server, policies=policies, ca_file=authority.ca_file)
            )
        assert session.where.startswith("mx2.good.test")

    async def test_no_host_that_it_names(
        self, dns_zone: DnsZone, authority: Authority, policies: PolicyHost
    ) -> None:
        publish(dns_zone, ("mx.evil.test", "127.0.0.1"))
        async with policies, ScriptedSmtp() as server:
            failed = await refusal(route_to(dns_zone, server, policies=policies, ca_file=authority.ca_file))
        assert (failed.stage, server.connections) == ("tls", 0)

    @pytest.mark.parametrize("mode", ["testing", "none"])
    async def test_not_enforced(
        self, dns_zone: DnsZone, authority: Authority, policies: PolicyHost, mode: str
    ) -> None:
        publish(dns_zone, ("mx.evil.test", "127.0.0.1"))
        self.demand(policies, mode, "*.good.test")
        async with policies, ScriptedSmtp(DELIVERED) as server:
            await delivered(route_to(dns_zone, server, policies=policies, ca_file=authority.ca_file))
            assert len(policies.requests) == 1


async def test_relay() -> None:
    async with ScriptedSmtp(opening() + QUIT) as server:
        route = RelayRoute(endpoint(server), Servers(per_server=10, most=100))
        connection = await route.open(lambda: True)
        assert connection is not None
        await connection.close()
    assert route.name == connection.session.where == f"127.0.0.1:{server.port}"
