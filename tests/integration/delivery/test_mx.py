"""Mail hosts of a domain, asked of a real DNS server."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import DnsSettings
from mailengine.domain.delivery.mx import MailHosts, MxResolver, NoDomain, NoHost, NoMail, TryLater
from peers.dns_zone import DnsZone

pytestmark = pytest.mark.anyio

DOMAIN = "example.test"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def resolver(dns_zone: DnsZone, clock: ManualClock) -> MxResolver:
    return resolver_of(dns_zone, clock, allow_private=True)


def resolver_of(zone: DnsZone, clock: ManualClock, *, allow_private: bool, seconds: float = 5) -> MxResolver:
    settings = DnsSettings(nameservers=(zone.host,), port=zone.port, timeout_seconds=seconds)
    return MxResolver(settings, clock, chance=random.Random(7), allow_private=allow_private)


async def hosts_of(resolver: MxResolver, domain: str = DOMAIN) -> list[str]:
    found = await resolver.lookup(domain)
    assert isinstance(found, MailHosts)
    return [host.name for host in found.hosts]


def asked(zone: DnsZone, kind: str = "MX") -> int:
    return sum(found == kind for _name, found in zone.asked)


class TestHosts:
    async def test_by_preference(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {
            DOMAIN: [
                ("MX", "20 mx2.example.test."),
                ("MX", "5 MX1.example.test."),
                ("MX", "30 mx3.other.test."),
            ],
            "mx1.example.test": [("A", "127.0.0.1"), ("AAAA", "::1")],
            "mx2.example.test": [("A", "127.0.0.2")],
            "mx3.other.test": [("AAAA", "::1")],
        }
        found = await resolver.lookup("Example.Test.")
        assert isinstance(found, MailHosts)
        assert [(host.name, host.preference, host.addresses) for host in found.hosts] == [
            ("mx1.example.test", 5, ("127.0.0.1", "::1")),
            ("mx2.example.test", 20, ("127.0.0.2",)),
            ("mx3.other.test", 30, ("::1",)),
        ]
        assert not found.implicit

    async def test_equal_preferences_and_addresses_take_turns(
        self, dns_zone: DnsZone, resolver: MxResolver
    ) -> None:
        dns_zone.records = {
            DOMAIN: [("MX", f"10 mx{n}.example.test.") for n in range(3)] + [("MX", "20 last.example.test.")],
            **{f"mx{n}.example.test": [("A", f"127.0.0.{n + 1}")] for n in range(3)},
            "last.example.test": [
                *(("A", f"127.0.1.{n + 1}") for n in range(3)),
                *(("AAAA", f"2001:db8::{n + 1}") for n in range(2)),
            ],
        }
        lookups = [await resolver.lookup(DOMAIN) for _ in range(60)]
        found = [lookup for lookup in lookups if isinstance(lookup, MailHosts)]
        assert {lookup.hosts[0].name for lookup in found} == {f"mx{n}.example.test" for n in range(3)}
        assert {lookup.hosts[3].name for lookup in found} == {"last.example.test"}
        assert len({lookup.hosts[3].addresses for lookup in found}) > 3
        for lookup in found:  # the families by turns, IPv4 first
            assert [":" in address for address in lookup.hosts[3].addresses] == [
                False,
                True,
                False,
                True,
                False,
            ]

    async def test_at_most_ten(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        names = [f"mx{n}.example.test" for n in range(30)]
        dns_zone.records = {
            DOMAIN: [("MX", f"{n} {name}.") for n, name in enumerate(names)],
            **{name: [("A", f"127.0.{n}.1") for n in range(40)] for name in names},
        }
        found = await resolver.lookup(DOMAIN)
        assert isinstance(found, MailHosts)
        assert [host.name for host in found.hosts] == names[:10]
        assert {len(host.addresses) for host in found.hosts} == {10}
        assert {name for name, kind in dns_zone.asked if kind == "A"} == set(names[:10])

    async def test_the_domain_itself_where_it_has_no_mx(
        self, dns_zone: DnsZone, resolver: MxResolver
    ) -> None:
        dns_zone.records = {DOMAIN: [("A", "127.0.0.1"), ("AAAA", "::1")]}
        found = await resolver.lookup(DOMAIN)
        assert isinstance(found, MailHosts)
        assert found.implicit
        assert [(host.name, host.addresses) for host in found.hosts] == [(DOMAIN, ("127.0.0.1", "::1"))]

    async def test_not_the_domain_itself_where_it_has_one(
        self, dns_zone: DnsZone, resolver: MxResolver
    ) -> None:
        """RFC 5321 5.1: with an MX, its hosts or none."""
        dns_zone.records = {DOMAIN: [("MX", "10 gone.example.test."), ("A", "127.0.0.1")]}
        assert await resolver.lookup(DOMAIN) == NoHost(DOMAIN, "its mail hosts have no address")

    async def test_aliases_are_followed(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {
            DOMAIN: [("CNAME", "real.test.")],
            "real.test": [("MX", "10 mx.real.test.")],
            "mx.real.test": [("CNAME", "host.real.test.")],
            "host.real.test": [("A", "127.0.0.5")],
        }
        found = await resolver.lookup(DOMAIN)
        assert isinstance(found, MailHosts)
        assert [(host.name, host.addresses) for host in found.hosts] == [("mx.real.test", ("127.0.0.5",))]

    async def test_alias_to_nowhere(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("CNAME", "gone.test.")]}
        assert await resolver.lookup(DOMAIN) == NoDomain(DOMAIN)

    async def test_truncated_over_udp(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        names = [f"{'x' * 60}{n:02}.example.test" for n in range(40)]
        dns_zone.records = {DOMAIN: [("MX", f"{n} {name}.") for n, name in enumerate(names)]}
        dns_zone.records |= {names[0]: [("A", "127.0.0.1")]}
        assert await hosts_of(resolver) == names[:1]


class TestNone:
    async def test_null_mx(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("MX", "0 ."), ("A", "127.0.0.1")]}
        assert await resolver.lookup(DOMAIN) == NoMail(DOMAIN)

    async def test_null_mx_among_others_is_no_host(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {
            DOMAIN: [("MX", "0 ."), ("MX", "10 mx.example.test.")],
            "mx.example.test": [("A", "127.0.0.1")],
        }
        assert await hosts_of(resolver) == ["mx.example.test"]

    async def test_names_that_cannot_be(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("MX", r"10 two\032words.test."), ("MX", r"20 x\010y.test.")]}
        assert await resolver.lookup(DOMAIN) == NoHost(DOMAIN, "its MX records name no host")

    @pytest.mark.parametrize(
        "domain", ["nowhere.test", "", "a..b", "[192.0.2.1]", "x" * 64 + ".test", "a b", "ü.test"]
    )
    async def test_no_such_domain(self, resolver: MxResolver, domain: str) -> None:
        assert await resolver.lookup(domain) == NoDomain(domain)

    async def test_neither_mx_nor_address(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("TXT", '"parked"')]}
        assert await resolver.lookup(DOMAIN) == NoHost(DOMAIN, "it has neither mail hosts nor an address")


class TestTrouble:
    async def test_servers_that_fail(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.servfail = {DOMAIN}
        assert await resolver.lookup(DOMAIN) == TryLater(DOMAIN, "its name servers fail")

    async def test_silence(self, dns_zone: DnsZone, clock: ManualClock) -> None:
        dns_zone.silent = {DOMAIN}
        resolver = resolver_of(dns_zone, clock, allow_private=True, seconds=0.2)
        assert await resolver.lookup(DOMAIN) == TryLater(DOMAIN, "no name server answers")

    async def test_a_host_that_cannot_be_asked_for_leaves_the_others(
        self, dns_zone: DnsZone, resolver: MxResolver
    ) -> None:
        dns_zone.records = {
            DOMAIN: [("MX", "10 ill.example.test."), ("MX", "20 well.example.test.")],
            "well.example.test": [("A", "127.0.0.1")],
        }
        dns_zone.servfail = {"ill.example.test"}
        assert await hosts_of(resolver) == ["well.example.test"]

    async def test_no_host_that_can_be_asked_for(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("MX", "10 ill.example.test."), ("MX", "20 gone.example.test.")]}
        dns_zone.servfail = {"ill.example.test"}
        assert isinstance(await resolver.lookup(DOMAIN), TryLater)

    async def test_trouble_is_soon_asked_again(
        self, dns_zone: DnsZone, clock: ManualClock, resolver: MxResolver
    ) -> None:
        dns_zone.records = {DOMAIN: [("A", "127.0.0.1")]}
        dns_zone.servfail = {DOMAIN}
        await resolver.lookup(DOMAIN)
        dns_zone.servfail = set()
        assert isinstance(await resolver.lookup(DOMAIN), TryLater)
        clock.advance(timedelta(seconds=31))
        assert await hosts_of(resolver) == [DOMAIN]


class TestPrivateAddresses:
    @pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "169.254.169.254"])
    async def test_refused(self, dns_zone: DnsZone, clock: ManualClock, address: str) -> None:
        dns_zone.records = {DOMAIN: [("MX", "10 mx.example.test.")], "mx.example.test": [("A", address)]}
        resolver = resolver_of(dns_zone, clock, allow_private=False)
        assert await resolver.lookup(DOMAIN) == NoHost(DOMAIN, "its mail hosts have only private addresses")

    async def test_only_the_public_ones_are_used(self, dns_zone: DnsZone, clock: ManualClock) -> None:
        dns_zone.records = {
            DOMAIN: [("MX", "10 in.example.test."), ("MX", "20 out.example.test.")],
            "in.example.test": [("A", "10.0.0.5")],
            "out.example.test": [("A", "10.0.0.6"), ("A", "8.8.8.8"), ("AAAA", "::1")],
        }
        found = await resolver_of(dns_zone, clock, allow_private=False).lookup(DOMAIN)
        assert isinstance(found, MailHosts)
        assert [(host.name, host.addresses) for host in found.hosts] == [("out.example.test", ("8.8.8.8",))]


class TestMemory:
    @pytest.mark.parametrize(("ttl_seconds", "kept_seconds"), [(0, 300), (1000, 1000), (10_000_000, 86_400)])
    async def test_for_the_time_to_live_within_bounds(
        self,
        dns_zone: DnsZone,
        clock: ManualClock,
        resolver: MxResolver,
        ttl_seconds: int,
        kept_seconds: int,
    ) -> None:
        dns_zone.ttl_seconds = ttl_seconds
        dns_zone.records = {DOMAIN: [("MX", "10 mx.test.")], "mx.test": [("A", "127.0.0.1")]}
        await resolver.lookup(DOMAIN)
        clock.advance(timedelta(seconds=kept_seconds - 1))
        await resolver.lookup(DOMAIN)
        assert asked(dns_zone) == 1
        clock.advance(timedelta(seconds=1))
        await resolver.lookup(DOMAIN)
        assert asked(dns_zone) == 2

    async def test_many_ask_once(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.records = {DOMAIN: [("MX", "10 mx.test.")], "mx.test": [("A", "127.0.0.1")]}
        found = await asyncio.gather(*(resolver.lookup(DOMAIN) for _ in range(50)))
        assert all(isinstance(one, MailHosts) for one in found)
        assert asked(dns_zone) == 1

    async def test_who_gives_up_leaves_the_answer_to_the_others(
        self, dns_zone: DnsZone, resolver: MxResolver
    ) -> None:
        dns_zone.records = {DOMAIN: [("MX", "10 mx.test.")], "mx.test": [("A", "127.0.0.1")]}
        first, second = (asyncio.create_task(resolver.lookup(DOMAIN)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert isinstance(await second, MailHosts)
        assert first.cancelled()

    async def test_close_ends_open_questions(self, dns_zone: DnsZone, resolver: MxResolver) -> None:
        dns_zone.silent = {DOMAIN}
        asking = asyncio.create_task(resolver.lookup(DOMAIN))
        await asyncio.sleep(0)
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
