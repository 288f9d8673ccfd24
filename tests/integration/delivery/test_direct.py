"""Campaigns without a relay: to the recipients' own servers, each domain on its own, providers within limits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.domain.delivery.limits import limits
from mailengine.domain.delivery.limits.rates import parse_rate
from mailengine.models import Contact, LimitScope
from peers.catcher import Catcher
from peers.dns_zone import DnsZone
from support.world import World, a_world, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(
    database_url: str, tmp_path: Path, dns_zone: DnsZone, catcher: Catcher
) -> AsyncIterator[World]:
    """A world that delivers directly; the catcher is the mail host of example.org and of two Google domains."""
    dns_zone.records |= {
        "example.org": [("MX", "10 mail.example.org.")],
        "mail.example.org": [("A", "127.0.0.1")],
        "one.test": [("MX", "10 aspmx.l.google.com.")],
        "two.test": [("MX", "10 aspmx.l.google.com.")],
        "aspmx.l.google.com": [("A", "127.0.0.1")],
        "dead.test": [("MX", "10 mail.dead.test.")],
        "mail.dead.test": [("A", "127.0.0.9")],
        "null.test": [("MX", "0 .")],
    }
    dns = {"nameservers": (dns_zone.host,), "port": dns_zone.port, "timeout_seconds": 2}
    worker = {"private_mail_hosts": True}
    async with a_world(database_url, tmp_path / "data", dns=dns, worker=worker) as made:
        await made.direct(catcher.port)
        yield made


async def test_each_domain_meets_its_own_fate(world: World, catcher: Catcher) -> None:
    await world.addresses(
        ["a@example.org", "b@example.org", "c@one.test", "d@dead.test", "e@null.test", "f@gone.test"]
    )
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, waiting=1)
        async with asyncio.timeout(20):
            while (await world.tasks())["d@dead.test"].attempts == 0:
                await asyncio.sleep(0.02)
    tasks = await world.tasks()
    statuses = {email: task.status for email, task in tasks.items()}
    assert statuses == {
        "a@example.org": "sent",
        "b@example.org": "sent",
        "c@one.test": "sent",
        "d@dead.test": "queued",
        "e@null.test": "failed",
        "f@gone.test": "failed",
    }
    assert (
        "127.0.0.9" in tasks["d@dead.test"].last_reply or "mail.dead.test" in tasks["d@dead.test"].last_reply
    )
    assert {caught.recipients[0] for caught in catcher.caught} == {
        "a@example.org",
        "b@example.org",
        "c@one.test",
    }
    letters = {letter.email: letter for letter in await world.dead_letters()}
    assert letters["f@gone.test"].enhanced == "5.1.2"
    assert letters["e@null.test"].enhanced == "5.1.10"
    async with world.db.read(world.scope) as tx:
        contact = await tx.get(Contact, letters["f@gone.test"].contact_id)
    assert contact is not None
    assert contact.state == "bounced"


async def test_a_providers_limit_counts_all_domains_behind_its_hosts(world: World, catcher: Catcher) -> None:
    people = [
        f"u{number}@{domain}" for number in range(5) for domain in ("one.test", "two.test", "example.org")
    ]
    await world.addresses(people)
    async with world.db.write(world.scope) as tx:
        await limits.set_limit(
            tx,
            world.scope,
            kind=LimitScope.PROVIDER,
            target="google",
            rate=parse_rate("60/hour"),  # a bucket of 3
            now=world.clock.now(),
        )
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, waiting=7)
        await asyncio.sleep(0.5)
    reached = [caught.recipients[0] for caught in catcher.caught]
    assert sum(address.endswith("@example.org") for address in reached) == 5
    assert sum(not address.endswith("@example.org") for address in reached) == 3
    waiting = [task for task in (await world.tasks()).values() if task.status == "queued"]
    assert all("limited to 60/hour for google" in task.last_reply for task in waiting)
    assert len({task.scheduled_at for task in waiting}) == len(waiting)  # spread, not all at once again
    assert all(task.attempts == 0 for task in waiting)


async def test_a_dns_that_is_dead_costs_time_and_nobody(
    world: World, catcher: Catcher, dns_zone: DnsZone
) -> None:
    """No name server answers for a while: nobody is given up, each message says why it waits, and all goes on."""
    people = await world.addresses([f"u{number}@example.org" for number in range(8)])
    dns_zone.silent |= set(dns_zone.records)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()), asyncio.timeout(60):
        while not all("no name server answers" in task.last_reply for task in (await world.tasks()).values()):
            await asyncio.sleep(0.05)
        assert {task.status for task in (await world.tasks()).values()} == {"queued"}
        assert not catcher.caught
        dns_zone.silent.clear()
        while (await world.totals(campaign)).sent < len(people):
            world.clock.advance(timedelta(minutes=2))  # the next try comes, and the failure is forgotten
            await asyncio.sleep(0.1)
    assert sorted(caught.recipients[0] for caught in catcher.caught) == sorted(people)
    assert not await world.dead_letters()
