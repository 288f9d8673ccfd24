"""Direct delivery to mail hosts that many domains share: a host sees a few connections, and is left alone by all."""

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from peers.dns_zone import DnsZone
from peers.mail_host import MailHost
from support.world import World, a_world, running

pytestmark = pytest.mark.anyio

ONE, TWO = "127.0.0.1", "127.0.0.2"


@pytest.fixture
async def world(database_url: str, tmp_path: Path, dns_zone: DnsZone) -> AsyncIterator[World]:
    dns = {"nameservers": (dns_zone.host,), "port": dns_zone.port, "timeout_seconds": 5}
    async with a_world(database_url, tmp_path / "data", dns=dns, worker={"private_mail_hosts": True}) as made:
        yield made


def publish(zone: DnsZone, domain: str, host: str, address: str = ONE) -> str:
    zone.records[domain] = [("MX", f"10 {host}.")]
    zone.records[host] = [("A", address)]
    return domain


async def launched(world: World, host: MailHost, people: list[str]) -> int:
    await world.direct(host.port)
    await world.addresses(people)
    campaign = await world.draft()
    await world.launch(campaign)
    return campaign


@pytest.mark.parametrize("name", ["mx.shared.test", "mx.{domain}"], ids=["one name", "a name each"])
async def test_domains_behind_one_host_share_its_connections(
    world: World, dns_zone: DnsZone, name: str
) -> None:
    domains = [f"d{number}.test" for number in range(60)]
    for domain in domains:
        publish(dns_zone, domain, name.format(domain=domain))
    people = [f"{user}@{domain}" for domain in domains for user in ("a", "b")]
    async with MailHost(delay_seconds=0.01) as host:
        campaign = await launched(world, host, people)
        async with running(world.worker(connections=2)):
            await world.settled(campaign)  # within a minute: none sits in its place without a message
    assert sorted(host.recipients) == sorted(people)
    assert host.most <= 2
    # Two messages are no reason for two connections, but where two claims have one each.
    assert len(domains) <= len(host.visits) < 1.5 * len(domains)


async def test_a_large_domain_leaves_room_for_a_small_one(world: World, dns_zone: DnsZone) -> None:
    large, small = (publish(dns_zone, domain, "mx.shared.test") for domain in ("large.test", "small.test"))
    people = [f"u{number}@{large}" for number in range(150)] + [f"u@{small}"]
    async with MailHost(delay_seconds=0.005) as host:
        campaign = await launched(world, host, people)
        async with running(world.worker(connections=1)):
            await world.settled(campaign)
    assert sorted(host.recipients) == sorted(people)
    assert host.most == 1
    assert host.recipients.index(f"u@{small}") < 145


async def test_a_host_that_asks_for_less_is_left_alone_with_its_provider(
    world: World, dns_zone: DnsZone
) -> None:
    domains = [
        publish(dns_zone, f"d{number}.test", f"mx{number % 2}.shared.test", (ONE, TWO)[number % 2])
        for number in range(60)
    ]
    people = [f"u@{domain}" for domain in domains]
    async with MailHost(ONE, TWO) as host:
        host.greetings = dict.fromkeys((ONE, TWO), "421 4.7.28 unusual rate of mail from your address")
        campaign = await launched(world, host, people)
        async with running(world.worker(connections=5)):
            async with asyncio.timeout(20):
                while not all("unusual rate" in task.last_reply for task in (await world.tasks()).values()):
                    await asyncio.sleep(0.02)
            assert len(host.visits) <= 10
            tried = [task for task in (await world.tasks()).values() if task.attempts]
            assert len(tried) <= 10  # the others wait through no fault of theirs
            host.greetings.clear()
            async with asyncio.timeout(60):
                while (await world.totals(campaign)).sent < len(people):
                    world.clock.advance(timedelta(minutes=1))
                    await asyncio.sleep(0.1)
    assert sorted(host.recipients) == sorted(people)
    assert not await world.dead_letters()


async def test_a_host_in_trouble_is_no_trouble_of_others(world: World, dns_zone: DnsZone) -> None:
    bad = [publish(dns_zone, f"bad{number}.test", "mx1.shared.test", ONE) for number in range(30)]
    good = [publish(dns_zone, f"good{number}.test", "mx2.shared.test", TWO) for number in range(30)]
    async with MailHost(ONE, TWO) as host:
        host.greetings[ONE] = "421 4.3.2 shutting down"
        campaign = await launched(world, host, [f"u@{domain}" for domain in bad + good])
        async with running(world.worker(connections=5)):
            await world.settled(campaign, waiting=len(bad))
    assert sorted(host.recipients) == sorted(f"u@{domain}" for domain in good)
    assert Counter(host.visits)[ONE] < 15
    assert {task.status for task in (await world.tasks()).values()} == {"sent", "queued"}


async def test_who_waits_for_a_place_holds_up_no_end(world: World, dns_zone: DnsZone) -> None:
    people = [f"u@{publish(dns_zone, f'd{number}.test', 'mx.shared.test')}" for number in range(60)]
    async with MailHost(delay_seconds=0.2) as host:
        campaign = await launched(world, host, people)
        async with running(world.worker(connections=2, drain_seconds=5)):
            await world.settled(campaign, waiting=len(people) - 1)
        statuses = Counter(task.status for task in (await world.tasks()).values())
    assert statuses["sent"] == len(host.recipients) < 20
    assert statuses["queued"] == len(people) - statuses["sent"]


async def test_a_campaign_at_a_host_keeps_no_single_message_waiting(world: World, dns_zone: DnsZone) -> None:
    """The host is slow, and the campaign has all the places that campaigns may have there."""
    people = [f"u@{publish(dns_zone, f'd{number}.test', 'mx.shared.test')}" for number in range(20)]
    async with MailHost(delay_seconds=0.3) as host:
        campaign = await launched(world, host, people)
        async with running(world.worker(connections=1)):
            await world.settled(campaign, waiting=len(people) - 1)
            reset = OutgoingMessage("ann@d19.test", "Reset", "Words", sender="A <a@example.org>")
            async with world.db.write(world.scope) as tx:
                await queue_message(tx, world.scope, reset, now=world.clock.now())
            await world.settled(campaign)
    assert host.recipients.index("ann@d19.test") < 15
    assert host.most == 2


@contextmanager
def open_files(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_all_connections_are_fewer_than_the_files_that_may_be_open(
    world: World, dns_zone: DnsZone
) -> None:
    addresses = [f"127.0.1.{number}" for number in range(1, 101)]
    people = [
        f"u@{publish(dns_zone, f'd{number}.test', f'mx.d{number}.test', address)}"
        for number, address in enumerate(addresses)
    ]
    async with MailHost(*addresses, delay_seconds=0.05) as host:
        campaign = await launched(world, host, people)
        with open_files(200):
            worker = world.worker()
        async with running(worker):
            await world.settled(campaign)
    assert sorted(host.recipients) == sorted(people)
    assert host.most <= 50
