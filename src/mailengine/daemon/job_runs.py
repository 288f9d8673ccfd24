"""Jobs that the daemon does for whoever asked: one table from a job's kind to the work.

The work is an async generator that goes on from what its job holds (`jobs.progress` keeps the cursor with the
rows it speaks of); each `yield` is the end of one small transaction. Between two of them the job may have been
cancelled, the lease lost or the daemon told to stop: then the generator is closed, and a job that is still
`running` is gone on with by whoever holds the lease next. Several jobs go forward in turn, a piece each, the
oldest of each tenant first, so that one tenant's long job keeps nobody waiting.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import MailengineError, Unavailable
from mailengine.core.ids import JobId, TenantId
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope, Scope
from mailengine.daemon import contact_files
from mailengine.daemon.restart import Looks, wait
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.campaigns import attribute_changes
from mailengine.domain.contacts import bulk, retyping
from mailengine.domain.jobs import jobs
from mailengine.domain.privacy import exports
from mailengine.models import Job, JobKind, JobState
from mailengine.runtime import Runtime

Pieces = AsyncGenerator[None]
Work = Callable[[Runtime, Scope, JobId], Pieces]

_LOOK_SECONDS = 0.5
_AT_ONCE = 4
_ACTOR = "role:scheduler"
_INSTANCE = InstanceScope(_ACTOR)


class Step(Protocol):
    """One page of a job that keeps its own cursor; False when that was the end."""

    async def __call__(self, tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> bool: ...


def page_by_page(step: Step) -> Work:
    """A page in each transaction."""

    async def work(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
        while True:
            async with rt.db.write(scope) as tx:
                if not await step(tx, scope, job_id=job_id, now=rt.clock.now()):
                    return
            yield

    return work


def export_tenant(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
    """All data of a tenant as a ZIP (P16-01)."""
    data_dir, base_url = rt.settings.data_dir, rt.settings.base_url
    return exports.make(rt.db, rt.clock, scope, job_id, data_dir=data_dir, base_url=base_url)


# The work begins with a job that runs already, and ends it with `jobs.finish`.
WORKS: dict[JobKind, Work] = {
    JobKind.UPLOAD: contact_files.import_upload,
    JobKind.SUPPRESSION_LIST: contact_files.suppress_upload,
    JobKind.UNDO_IMPORT: contact_files.undo_import,
    JobKind.EXPORT: contact_files.export,
    JobKind.BULK: page_by_page(bulk.bulk_page),
    JobKind.RETYPE: page_by_page(retyping.retype_page),
    JobKind.RENAME_ATTRIBUTE: page_by_page(attribute_changes.change_page),
    JobKind.REMOVE_ATTRIBUTE: page_by_page(attribute_changes.change_page),
    JobKind.TENANT_EXPORT: export_tenant,
}

log = get_logger("scheduler")


class JobRuns:
    """The jobs in hand."""

    def __init__(self, rt: Runtime, works: Mapping[JobKind, Work] | None = None) -> None:
        self._rt = rt
        self._works = WORKS if works is None else works
        self._hand: dict[JobId, Pieces] = {}

    async def run(self, stop: asyncio.Event, held: Callable[[], Awaitable[bool]]) -> None:
        """Look for jobs until `stop`, while the lease is held."""
        looks = Looks(_LOOK_SECONDS)
        try:
            while not stop.is_set():
                busy = await held() and await self.turn()
                if not busy:
                    await self.close()  # somebody else may have the lease now
                await wait(stop, looks.rest(busy=busy))
        finally:
            await self.close()

    async def turn(self) -> bool:
        """One piece of each open job; True when there was one."""
        async with self._rt.db.read(_INSTANCE) as tx:
            open_jobs = await due(tx, _INSTANCE, kinds=list(self._works))
        wanted = {JobId(job.id or 0) for job in open_jobs}
        for job_id in [job_id for job_id in self._hand if job_id not in wanted]:
            await self._hand.pop(job_id).aclose()  # cancelled
        for job in open_jobs:
            await self._piece(job)
        return bool(open_jobs)

    async def close(self) -> None:
        while self._hand:
            await self._hand.popitem()[1].aclose()

    async def _piece(self, job: Job) -> None:
        job_id, scope = JobId(job.id or 0), Scope(TenantId(job.tenant_id), _ACTOR)
        try:
            if job_id not in self._hand:
                await self._begin(scope, job_id, JobKind(job.kind))
            await anext(self._hand[job_id])
        except StopAsyncIteration:
            del self._hand[job_id]
            log.info("job done", job=job_id, kind=job.kind, tenant=job.tenant_id)
        except jobs.TakenOver:
            self._hand.pop(job_id, None)  # another daemon has the lease
        except Unavailable:
            self._hand.pop(job_id, None)
            raise  # it concerns every job
        except Exception as error:
            self._hand.pop(job_id, None)
            await self._fail(scope, job_id, error)

    async def _begin(self, scope: Scope, job_id: JobId, kind: JobKind) -> None:
        async with self._rt.db.write(scope) as tx:
            await jobs.start(tx, scope, job_id=job_id, now=self._rt.clock.now())
        self._hand[job_id] = self._works[kind](self._rt, scope, job_id)

    async def _fail(self, scope: Scope, job_id: JobId, error: Exception) -> None:
        meant = isinstance(error, MailengineError)
        log.error("job failed", job=job_id, tenant=scope.tenant_id, words=f"{type(error).__name__}: {error}")
        words = str(error) if meant else "a fault of the program; see its log"
        async with self._rt.db.write(scope) as tx:
            job = await jobs.get(tx, scope, job_id=job_id)
            if job.state in (JobState.QUEUED, JobState.RUNNING):  # else it was cancelled meanwhile
                await jobs.fail(tx, scope, job_id=job_id, now=self._rt.clock.now(), error=words)


async def due(tx: ReadTx, _instance: InstanceScope, *, kinds: Sequence[JobKind]) -> Sequence[Job]:
    """The oldest open job of each tenant, among those whose kind the daemon does."""
    table = table_of(Job).c
    oldest = (
        sa.select(sa.func.min(table.id))
        .where(table.state.in_([JobState.QUEUED, JobState.RUNNING]), table.kind.in_(kinds))
        .group_by(table.tenant_id)
    )
    found = await tx.scalars(
        sa.select(Job).where(col(Job.id).in_(oldest)).order_by(col(Job.id)).limit(_AT_ONCE)
    )
    return found.all()
