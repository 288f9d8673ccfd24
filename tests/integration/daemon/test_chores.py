"""The scheduler's table of chores: each at its time, none stops another, a restart repeats nothing."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.core.ids import JobId
from mailengine.daemon import chores
from mailengine.daemon.backlog import Need
from mailengine.daemon.chores import CHORES, Chore, Chores
from mailengine.domain.campaigns import control
from mailengine.domain.contacts.search.index import PAGE
from mailengine.domain.jobs import jobs
from mailengine.models import ChoreRun, JobKind
from mailengine.runtime import Runtime
from support.house import INSTANCE, KEYRING
from support.world import a_world

pytestmark = pytest.mark.anyio


async def go() -> bool:
    return True


class Counted:
    """A chore of three pieces that counts its runs and can be made to fail."""

    def __init__(self, name: str, period: timedelta) -> None:
        self.pieces = 0
        self.fails = False
        self.chore = Chore(name, period, self.work)

    async def work(self, _rt: Runtime, _now: datetime) -> AsyncGenerator[Mapping[str, int]]:
        for _ in range(3):
            if self.fails:
                raise ValueError("broken")
            self.pieces += 1
            yield {"done": 2}


async def test_each_runs_at_its_own_time_across_restarts(rt: Runtime, clock: ManualClock) -> None:
    hourly, daily = Counted("hourly", timedelta(hours=1)), Counted("daily", timedelta(days=1))
    table = (hourly.chore, daily.chore)
    for _ in range(48):
        await Chores(rt, table).turn(go)  # a new process each half hour
        clock.advance(timedelta(minutes=30))
    assert (hourly.pieces, daily.pieces) == (24 * 3, 3)
    async with rt.db.read(INSTANCE) as tx:
        kept = {row.name: row.figures for row in await tx.scalars(sa.select(ChoreRun))}
    assert kept == {"hourly": {"done": 6}, "daily": {"done": 6}}


async def test_one_that_fails_is_tried_again_and_stops_no_other(rt: Runtime, clock: ManualClock) -> None:
    bad, good = Counted("bad", timedelta(hours=1)), Counted("good", timedelta(hours=1))
    turns = Chores(rt, (bad.chore, good.chore))
    bad.fails = True
    await turns.turn(go)
    bad.fails = False
    await turns.turn(go)
    assert (bad.pieces, good.pieces) == (0, 3)
    clock.advance(timedelta(minutes=10))
    await turns.turn(go)
    assert (bad.pieces, good.pieces) == (3, 3)


async def test_who_loses_the_lease_stops_between_two_pieces(rt: Runtime) -> None:
    answers = iter([True, True, False])
    cut, after = Counted("cut", timedelta(hours=1)), Counted("after", timedelta(hours=1))

    async def held() -> bool:
        return next(answers, False)

    await Chores(rt, (cut.chore, after.chore)).turn(held)
    assert (cut.pieces, after.pieces) == (2, 0)
    await Chores(rt, (cut.chore, after.chore)).turn(go)
    assert (cut.pieces, after.pieces) == (5, 3)


async def test_a_clock_that_was_put_back_does_not_stop_it(rt: Runtime, clock: ManualClock) -> None:
    chore = Counted("hourly", timedelta(hours=1))
    await Chores(rt, (chore.chore,)).turn(go)
    clock.advance(timedelta(days=-365))
    await Chores(rt, (chore.chore,)).turn(go)
    assert chore.pieces == 6


async def test_the_table_itself_runs_on_an_empty_installation(rt: Runtime) -> None:
    await Chores(rt).turn(go)
    async with rt.db.read(INSTANCE) as tx:
        names = set(await tx.scalars(sa.select(sa.column("name")).select_from(sa.table("chore_runs"))))
    assert names == {chore.name for chore in CHORES}
    assert len(names) == len(CHORES)


async def test_the_search_index_leaves_the_machine_to_a_long_queue_and_to_jobs(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {**dict.fromkeys(Need, 0.0), Need.NOBODY: 600.0}
    monkeypatch.setattr(chores, "_INDEX_SECONDS", seconds)
    async with a_world(sqlite_dsn, tmp_path / "data") as world:
        settings = load_settings(data_dir=tmp_path, database={"url": sqlite_dsn})
        rt = Runtime(settings, world.db, world.clock, KEYRING)
        await world.people(3 * PAGE + 1)
        await world.relay(1)
        campaign = await world.draft()
        await world.launch(campaign)
        assert await figures_of(rt) == [{"contacts": PAGE}]
        async with world.db.write(world.scope) as tx:
            await control.pause(tx, world.scope, campaign_id=campaign, now=world.clock.now())
            kind, now = JobKind.EXPORT, world.clock.now()
            job = await jobs.create(tx, world.scope, kind=kind, title="all", now=now)
            await jobs.start(tx, world.scope, job_id=JobId(job.id or 0), now=now)
        assert await figures_of(rt) == [{"contacts": PAGE}]
        async with world.db.write(world.scope) as tx:
            await jobs.cancel(tx, world.scope, job_id=JobId(job.id or 0), now=now)
        assert await figures_of(rt) == [{"contacts": PAGE}, {"contacts": 1}]


async def figures_of(rt: Runtime) -> list[Mapping[str, int]]:
    return [figures async for figures in chores.index_contacts(rt, rt.clock.now())]
