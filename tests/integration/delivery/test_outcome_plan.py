"""Writing an outcome costs the same at a campaign's end as at its beginning: the row is found by its key alone, also
where PostgreSQL has no statistics and what was claimed before is not vacuumed yet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from peers.sink import CountingSink
from support.plans import asked, plan_of
from support.world import a_world, running

pytestmark = [pytest.mark.anyio, pytest.mark.peer("postgres")]


async def test_outcomes_are_written_by_their_key(
    postgres_dsn: str, tmp_path: Path, counting_sink: Callable[..., CountingSink]
) -> None:
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        await world.people(1000)
        await world.relay(counting_sink().port)
        campaign = await world.draft()
        await world.launch(campaign)
        with asked(world.db, "UPDATE email_tasks", "unnest") as said:
            async with running(world.worker()):
                await world.settled(campaign)
        lines = await plan_of(world.db, *said[-1])
    assert not any("ix_email_tasks" in line for line in lines), lines
