"""The batches of an import on their way into the database.

Invariants: a batch is one transaction, and the job's cursor, its counts and the file of rejected rows move in it;
batches are committed in the file's order. So whatever dies when, the job says which rows are stored.

SQLite has one writer, and takes one batch after the other. PostgreSQL works for each connection on its own core, and
gets `_AT_ONCE` of them: what a batch stores meets nothing of the others, since a file's address comes once, and it
waits with its commit for theirs. Two that meet all the same (a new tag, another import's contacts) might wait for
each other, one for a row and one for its turn, which PostgreSQL cannot see. So a batch that waits beside others has
little patience, and whoever loses it takes back what it did, with all that come after it; they try again one by one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts.imports import remember
from mailengine.domain.contacts.imports.ahead import Batches
from mailengine.domain.contacts.imports.errors_file import ErrorsFile
from mailengine.domain.contacts.imports.report import Counts
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings, errors_path, rules_of
from mailengine.domain.contacts.imports.source import Batch, Source
from mailengine.domain.contacts.imports.store import Compared, store
from mailengine.domain.jobs import jobs
from mailengine.models import Job

_AT_ONCE = 3  # on two cores 200,000 took 60 % of the time of one by one; more would only hold more memory
_LEFT_TO_OTHERS = 2  # connections of the pool
_TRIES = 5
_PATIENCE = "1s"
_MET_OTHERS = frozenset({"40001", "40P01", "55P03"})  # serialisation failure, deadlock, out of patience


@dataclass(slots=True)
class Run:
    """One run of a job and where it stands; `number` tells it from the job's other runs."""

    job_id: JobId
    number: int
    list_id: int
    source: Source
    request: ImportRequest
    counts: Counts
    records: int
    errors_bytes: int

    @classmethod
    def of(cls, job: Job, source: Source, request: ImportRequest) -> "Run":
        assert job.id is not None
        assert job.subject_id is not None
        held = job.result
        counts = Counts(**held["counts"])
        return cls(
            JobId(job.id),
            jobs.run_of(job),
            job.subject_id,
            source,
            request,
            counts,
            held["records"],
            held["errors_bytes"],
        )

    def result(self) -> dict[str, Any]:
        """What the job holds: enough to resume, nothing about a person."""
        return {
            "run": self.number,
            "request": self.request.as_dict(),
            "file": self.source.fingerprint,
            "records": self.records,
            "errors_bytes": self.errors_bytes,
            "counts": self.counts.as_dict(),
        }


class _GaveWayError(Exception):
    """The batch before was taken back, so this one is too."""


@dataclass(slots=True)
class _UnderWay:
    """A batch that is being stored; `at_first` tells whether its first try was committed."""

    batch: Batch
    at_first: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    done: asyncio.Task[None] = field(init=False)

    def tried(self, *, committed: bool) -> None:
        if not self.at_first.done():
            self.at_first.set_result(committed)

    @property
    def taken_back(self) -> bool:
        return self.at_first.done() and not self.at_first.result()


class Storing:
    """The stored part of a run, until `stop` says that no further batch is wanted: then it `stopped`."""

    def __init__(
        self,
        around: Surroundings,
        scope: Scope,
        run: Run,
        *,
        stop: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._around, self._scope, self._run, self._stop = around, scope, run, stop
        self.stopped = False
        self._rules = rules_of(run.request, run.source, around, list_id=run.list_id)
        path = errors_path(around.data_dir, run.job_id)
        self.errors = ErrorsFile(path, run.source.columns.headers, keep_bytes=run.errors_bytes)

    async def stored(self, found: Batches) -> AsyncGenerator[Batch]:
        """Each batch once it is committed. Closed early it commits those that are under way."""
        at_once = max(1, min(_AT_ONCE, self._around.db.writers - _LEFT_TO_OTHERS))
        under_way: deque[_UnderWay] = deque()
        try:
            async for batch in found:
                if self._stop is not None and await self._stop():
                    self.stopped = True
                    break
                one, before = _UnderWay(batch), under_way[-1] if under_way else None
                one.done = asyncio.create_task(self._store(one, before, found.read_on))
                under_way.append(one)
                if len(under_way) == at_once:
                    yield await _committed(under_way.popleft())
            while under_way:
                yield await _committed(under_way.popleft())
        finally:
            await asyncio.gather(*(one.done for one in under_way), return_exceptions=True)

    async def _store(self, one: _UnderWay, before: _UnderWay | None, compared: Callable[[], object]) -> None:
        for attempt in range(_TRIES):
            if before is not None and (attempt or before.taken_back):
                await before.done
                before = None
            try:
                await self._try(one.batch, before, compared, patient=attempt > 0)
                one.tried(committed=True)
                return
            except _GaveWayError:
                pass
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") not in _MET_OTHERS or attempt == _TRIES - 1:
                    raise
            finally:
                one.tried(committed=False)

    async def _try(
        self, batch: Batch, before: _UnderWay | None, compared: Callable[[], object], *, patient: bool
    ) -> None:
        async def in_turn() -> None:
            if before is not None and not await before.at_first:
                raise _GaveWayError

        now = self._around.clock.now()
        async with self._around.db.write(self._scope, bulk=True) as tx:
            if tx.postgres and not patient:
                await tx.execute(sa.select(sa.func.set_config("lock_timeout", _PATIENCE, True)))
            found = await store(tx, self._scope, batch, self._rules, now, compared=compared, in_turn=in_turn)
            await in_turn()
            moved = await self._record(tx, batch, found)
        self._run.counts, self._run.records = moved.counts, moved.records
        self._run.errors_bytes = moved.errors_bytes

    async def _record(self, tx: WriteTx, batch: Batch, found: Compared) -> Run:
        """What the batch did, and where the job then stands."""
        run = self._run
        await jobs.of_run(tx, self._scope, job_id=run.job_id, run=run.number)  # before the file is touched
        self.errors.cut(run.errors_bytes)  # of a try before
        rejected = sorted(batch.rejected + found.forgotten)
        counts = run.counts.copy()
        counts.add_steps(found.steps, lifted=found.lifted)
        counts.left += found.taken_out
        counts.add_refused(rejected=len(rejected), duplicates=len(batch.duplicates))
        counts.suppressed += len(found.blocked)
        counts.flagged += batch.flagged
        await remember.record(tx, self._scope, run.job_id, batch.records, found.trace)
        self.errors.append(rejected)
        moved = replace(run, counts=counts, records=batch.records, errors_bytes=self.errors.size_bytes)
        result = moved.result()
        await jobs.progress(tx, self._scope, job_id=run.job_id, done=batch.records, result=result)
        return moved


async def _committed(one: _UnderWay) -> Batch:
    await one.done
    return one.batch
