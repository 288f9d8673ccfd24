"""A relay that is down or refuses us gives nobody up, and every look at the campaign says why nothing moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.core.ids import CampaignId
from mailengine.domain.reports.progress import follow
from mailengine.domain.senders.relays import get_relay
from mailengine.models import Relay
from peers.catcher import Catcher
from peers.ports import free_port
from peers.sink import CountingSink
from support.world import World, a_world, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        yield made


async def relay(world: World, name: str = "main") -> Relay:
    async with world.db.read(world.scope) as tx:
        return await get_relay(tx, world.scope, name=name)


async def held(world: World, campaign: CampaignId) -> list[str]:
    async with world.db.read(world.scope) as tx:
        found = await follow(tx, world.scope, campaign_id=campaign, now=world.clock.now())
    return list(found.held)


async def until(world: World, wanted: Callable[[Relay], bool], name: str = "main") -> Relay:
    async with asyncio.timeout(30):
        while not wanted(found := await relay(world, name)):
            await asyncio.sleep(0.05)
    return found


async def test_a_relay_that_is_down_is_told_until_it_takes_a_message(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    port = free_port()
    await world.people(20)
    await world.relay(port)
    campaign = await world.draft()
    await world.launch(campaign)
    assert await held(world, campaign) == []
    async with running(world.worker(retry_hours=1)):
        down = await until(world, lambda relay: relay.trouble_at is not None)
        assert (down.trouble_at, "refused" in down.trouble) == (world.clock.now(), True)
        (why,) = await held(world, campaign)
        assert why == f"the relay main is in trouble and tried again: {down.trouble}"
        world.clock.advance(timedelta(hours=100))  # nobody is given up for it
        await until(world, lambda relay: relay.trouble_at == world.clock.now())
        assert {(task.status, task.attempts) for task in (await world.tasks()).values()} <= {
            ("queued", 0), ("claimed", 0),
        }  # fmt: skip
        sink = counting_sink(port=port)
        await world.settled(campaign)
        well = await until(world, lambda relay: relay.trouble_at is None)
    assert (well.trouble, await held(world, campaign)) == ("", [])
    assert sink.accepted() == 20


async def test_a_relay_that_does_not_relay_holds_everything(world: World, catcher: Catcher) -> None:
    people = await world.people(5)
    catcher.replies.update(dict.fromkeys(people, "550 5.7.1 relaying denied"))
    await world.relay(catcher.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        refused = await until(world, lambda relay: relay.trouble_at is not None)
        assert refused.trouble == "relaying denied"
        assert (await world.totals(campaign)).failed == 0
        catcher.replies.clear()
        world.clock.advance(timedelta(hours=1))
        await world.settled(campaign)
    assert (await relay(world)).trouble_at is None  # the last look is after the last message
    assert len(catcher.caught) == 5


async def test_nothing_is_held_while_another_relay_takes_the_mail(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=300)
    await world.people(60)
    await world.relay(free_port())
    await world.relay(sink.port, name="spare")
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(Relay)
            .where(Relay.tenant_id == world.scope.tenant_id, Relay.name == "spare")
            .values(priority=1)
        )
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=1)):
        await until(world, lambda relay: relay.trouble_at is not None)
        assert await held(world, campaign) == []
        await world.settled(campaign)
