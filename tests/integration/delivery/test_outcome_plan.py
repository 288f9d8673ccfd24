"""Writing an outcome costs the same at a campaign's end as at its beginning: the row is found by its key alone, also
where PostgreSQL has no statistics and what was claimed before is not vacuumed yet."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.daemon.backlog import need
from mailengine.domain.delivery.doubts import list_doubts
from mailengine.domain.delivery.recover import claims_of_campaigns
from mailengine.domain.reports.recipients import Outcome, recipients
from peers.sink import CountingSink
from support.plans import asked, plan_of
from support.world import INSTANCE, a_world, running

pytestmark = pytest.mark.anyio


@pytest.mark.peer("postgres")
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


async def test_the_few_of_a_large_ledger_are_found_by_an_index_of_the_few(
    database_url: str, tmp_path: Path
) -> None:
    async with a_world(database_url, tmp_path / "data") as world:
        await world.people(300)
        await world.relay(2525)
        campaign, now = await world.draft(), world.clock.now()
        await world.launch(campaign)
        async with world.db.write(INSTANCE) as tx:
            await tx.execute(sa.text("ANALYZE email_tasks"))
        with asked(world.db, "FROM email_tasks") as said:
            async with world.db.read(world.scope) as tx:
                await list_doubts(tx, world.scope)
                for outcome in (Outcome.FAILED, Outcome.SKIPPED):
                    await recipients(tx, world.scope, campaign_id=campaign, outcome=outcome)
            async with world.db.read(INSTANCE) as tx:
                await claims_of_campaigns(tx, now)
                await need(tx, INSTANCE, now=now)
        plans = [await plan_of(world.db, *each, large=True) for each in said]
    found = [
        next(
            (name for name in ("ix_email_tasks_unsent", "ix_email_tasks_held") if name in "".join(plan)), plan
        )
        for plan in plans
    ]
    assert found == [
        "ix_email_tasks_held", *["ix_email_tasks_unsent"] * 2, "ix_email_tasks_held", "ix_email_tasks_held",
    ]  # fmt: skip
