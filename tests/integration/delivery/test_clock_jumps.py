"""A clock that jumps while mail goes out: nothing is lost and nothing doubled, and sending goes on."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.models import TaskStatus
from peers.sink import CountingSink
from support.world import World, a_world, running

COUNT = 200


@pytest.mark.anyio
@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(hours=-3)], ids=["forward", "back"])
async def test_a_clock_that_jumps(
    jump: timedelta, database_url: str, tmp_path: Path, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=2)
    async with a_world(database_url, tmp_path) as world:
        await world.people(COUNT)
        await world.relay(sink.port)
        campaign_id = await world.draft()
        await world.launch(campaign_id)
        async with running(world.worker(batch_size=20, connections=2)):
            await world.settled(campaign_id, waiting=COUNT - 40)
            world.clock.advance(jump)
            if jump < timedelta(0):
                await nothing_in_hand(world)  # and nothing more is due
                assert (await world.totals(campaign_id)).sent < COUNT
                world.clock.advance(-jump)  # NTP puts it right again
            await world.settled(campaign_id)
        totals = await world.totals(campaign_id)
    assert (totals.sent, totals.doubt, totals.failed) == (COUNT, 0, 0)
    assert set(sink.received().values()) == {1}


async def nothing_in_hand(world: World) -> None:
    async with asyncio.timeout(30):
        while any(task.status == TaskStatus.CLAIMED for task in (await world.tasks()).values()):
            await asyncio.sleep(0.05)
