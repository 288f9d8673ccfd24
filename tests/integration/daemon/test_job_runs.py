"""Jobs that the daemon does: a piece each in turn, gone on with after a restart, ended when cancelled."""

from collections.abc import AsyncGenerator

import pytest

from mailengine.core.errors import Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.daemon.job_runs import JobRuns
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind
from mailengine.runtime import Runtime
from support.house import NOW

pytestmark = pytest.mark.anyio

KIND = JobKind.EXPAND  # any kind that the table given here knows


class Work:
    """Three pieces, each kept in the job; `order` tells whose pieces were done when."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.closed = 0
        self.error: Exception | None = None

    async def __call__(self, rt: Runtime, scope: Scope, job_id: JobId) -> AsyncGenerator[None]:
        try:
            async with rt.db.read(scope) as tx:
                done = (await jobs.get(tx, scope, job_id=job_id)).done
            while done < 3:
                if self.error is not None:
                    raise self.error
                done += 1
                async with rt.db.write(scope) as tx:
                    await jobs.progress(tx, scope, job_id=job_id, done=done)
                self.order.append(job_id)
                yield
            async with rt.db.write(scope) as tx:
                await jobs.finish(tx, scope, job_id=job_id, now=rt.clock.now())
        finally:
            self.closed += 1


async def queued(rt: Runtime, scope: Scope) -> JobId:
    async with rt.db.write(scope) as tx:
        job = await jobs.create(tx, scope, kind=KIND, title="Work", now=NOW, total=3)
    return JobId(job.id or 0)


async def job_of(rt: Runtime, scope: Scope, job_id: JobId) -> Job:
    async with rt.db.read(scope) as tx:
        return await jobs.get(tx, scope, job_id=job_id)


async def test_tenants_take_turns_and_a_restart_goes_on(rt: Runtime, scope: Scope, other: Scope) -> None:
    work = Work()
    mine, later, theirs = await queued(rt, scope), await queued(rt, scope), await queued(rt, other)
    first = JobRuns(rt, {KIND: work})
    assert await first.turn()
    await first.turn()
    await first.close()  # the daemon ends here
    second = JobRuns(rt, {KIND: work})
    while await second.turn():
        pass
    assert work.order == [mine, theirs, mine, theirs, mine, theirs, later, later, later]
    assert [(await job_of(rt, scope, each)).state for each in (mine, later)] == ["done", "done"]
    assert (await job_of(rt, other, theirs)).done == 3


async def test_a_cancelled_job_is_let_go(rt: Runtime, scope: Scope) -> None:
    work, job_id = Work(), await queued(rt, scope)
    runs = JobRuns(rt, {KIND: work})
    await runs.turn()
    async with rt.db.write(scope) as tx:
        await jobs.cancel(tx, scope, job_id=job_id, now=NOW)
    assert not await runs.turn()
    assert work.closed == 1
    assert (await job_of(rt, scope, job_id)).state == "cancelled"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Refused("the list is gone"), "the list is gone"),
        (ValueError("secret inner words"), "a fault of the program; see its log"),
    ],
)
async def test_a_failure_is_told_and_stops_no_other(
    rt: Runtime, scope: Scope, other: Scope, error: Exception, words: str
) -> None:
    broken, work = Work(), Work()
    broken.error = error
    failed, fine = await queued(rt, scope), await queued(rt, other)

    async def by_tenant(rt: Runtime, scope: Scope, job_id: JobId) -> AsyncGenerator[None]:
        async for _ in (broken if job_id == failed else work)(rt, scope, job_id):
            yield

    runs = JobRuns(rt, {KIND: by_tenant})
    while await runs.turn():
        pass
    told = await job_of(rt, scope, failed)
    assert (told.state, told.error) == ("failed", words)
    assert (await job_of(rt, other, fine)).state == "done"


async def test_kinds_that_others_do_are_left_alone(rt: Runtime, scope: Scope) -> None:
    job_id = await queued(rt, scope)
    assert not await JobRuns(rt, {}).turn()
    assert (await job_of(rt, scope, job_id)).state == "queued"
