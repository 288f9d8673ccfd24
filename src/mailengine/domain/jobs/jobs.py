"""The rows that show long work: its state, how far it is, what went wrong, what came out.

Whoever does the work moves its job in the same transaction as the work's own rows, so that `done` and
`result` always say exactly what is stored: after a crash the work goes on from there. Every change of state
goes through `TRANSITIONS`.

A run is one process's turn at a job. Its number is the fence: once another process goes on with the job, the run
before it, which may only have been slow, stores nothing more (`of_run`).
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.ids import JobId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.models import Job, JobKind, JobState

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    # A running job starts again when the process that ran it died; a failed or cancelled one on request.
    JobState.RUNNING: frozenset({JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.FAILED: frozenset({JobState.RUNNING}),
    JobState.CANCELLED: frozenset({JobState.RUNNING}),
    JobState.DONE: frozenset(),
}
_MAX_ERROR = 1000  # the column's length
_RUN = "run"  # in a job's result: the number of its latest run


class TakenOver(Conflict):
    """Another process goes on with the job; this one stopped and stored nothing more."""

    def __init__(self, job_id: JobId) -> None:
        super().__init__(
            f"job {job_id} is gone on with by another process; this one stopped, and stored nothing more"
        )


async def create(
    tx: WriteTx,
    scope: Scope,
    *,
    kind: JobKind,
    title: str,
    now: datetime,
    subject_id: int | None = None,
    total: int | None = None,
    result: dict[str, Any] | None = None,
) -> Job:
    """A queued job; `subject_id` is the campaign or list that it works on."""
    job = Job(
        tenant_id=scope.tenant_id,
        kind=kind,
        state=JobState.QUEUED,
        subject_id=subject_id,
        title=title[:300],
        total=total,
        result=result or {},
        created_at=now,
    )
    tx.add(job)
    await tx.flush()
    return job


async def start(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> Job:
    """Begin, or begin again; raises Conflict for a job that is done."""
    job = await _move(tx, scope, job_id, JobState.RUNNING)
    job.started_at = job.started_at or now
    job.finished_at, job.error = None, ""
    return job


async def progress(
    tx: WriteTx,
    scope: Scope,
    *,
    job_id: JobId,
    done: int,
    total: int | None = None,
    result: dict[str, Any] | None = None,
) -> None:
    """How far a running job is; `result` replaces what it holds (a cursor, counts)."""
    job = await get(tx, scope, job_id=job_id)
    job.done = done
    job.total = total if total is not None else job.total
    job.result = result if result is not None else job.result


async def finish(
    tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime, result: dict[str, Any] | None = None
) -> None:
    job = await _move(tx, scope, job_id, JobState.DONE)
    job.finished_at, job.total = now, job.done
    job.result = result if result is not None else job.result


async def fail(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime, error: str) -> None:
    """`error` is the line that a person reads."""
    job = await _move(tx, scope, job_id, JobState.FAILED)
    job.finished_at, job.error = now, error[:_MAX_ERROR]


async def cancel(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> None:
    job = await _move(tx, scope, job_id, JobState.CANCELLED)
    job.finished_at = now


async def get(tx: ReadTx, scope: Scope, *, job_id: JobId) -> Job:
    """Raises NotFound, also for another tenant's job."""
    job = await tx.scalar(owned(Job, scope).where(col(Job.id) == job_id))
    if job is None:
        raise NotFound(f"there is no job {job_id}; `mailengine jobs list` shows those there are")
    return job


async def locked(tx: WriteTx, scope: Scope, *, job_id: JobId) -> Job:
    """The job, changed by nobody else until the end of the transaction."""
    query = owned(Job, scope).where(col(Job.id) == job_id).with_for_update()
    job = await tx.scalar(query.execution_options(populate_existing=True))
    if job is None:
        raise NotFound(f"there is no job {job_id}; `mailengine jobs list` shows those there are")
    return job


async def next_run(tx: WriteTx, scope: Scope, *, job_id: JobId) -> Job:
    """The job, locked and in the hands of a run of its own."""
    job = await locked(tx, scope, job_id=job_id)
    job.result = {**job.result, _RUN: run_of(job) + 1}
    return job


def run_of(job: Job) -> int:
    return int(job.result.get(_RUN, 0))


async def of_run(tx: WriteTx, scope: Scope, *, job_id: JobId, run: int) -> Job:
    """The job, locked, for the run that is to change it; raises TakenOver when it is not the latest any more."""
    job = await locked(tx, scope, job_id=job_id)
    if run_of(job) != run:
        raise TakenOver(job_id)
    return job


async def list_(
    tx: ReadTx,
    scope: Scope,
    *,
    page: PageRequest,
    kinds: Collection[JobKind] = (),
    state: JobState | None = None,
    text: str = "",
) -> Page[Job]:
    """Newest first; `kinds` restricts to these, `text` to titles that hold it."""
    query = owned(Job, scope)
    if text:
        query = query.where(col(Job.title).icontains(text, autoescape=True))
    if kinds:
        query = query.where(col(Job.kind).in_(kinds))
    if state is not None:
        query = query.where(col(Job.state) == state)
    return await keyset_page(tx, query, col(Job.id), page, newest_first=True)


async def any_runs(tx: ReadTx, _instance: InstanceScope) -> bool:
    """A job of whatever tenant."""
    running = sa.select(col(Job.id)).where(col(Job.state) == JobState.RUNNING)
    return await tx.scalar(running.limit(1)) is not None


async def _move(tx: WriteTx, scope: Scope, job_id: JobId, state: JobState) -> Job:
    job = await get(tx, scope, job_id=job_id)
    if state not in TRANSITIONS[JobState(job.state)]:
        raise Conflict(f"job {job_id} is {job.state} and cannot become {state.value}")
    job.state = state
    return job
