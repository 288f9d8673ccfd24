"""An import from the file to the report.

Invariants: what is wrong with the file as a whole is found before anything is stored. Each batch is one
transaction, and the job's cursor and counts move in it: a killed import left exactly the rows that its job
says, and `resume` goes on after them. While the database stores one batch, a thread reads the next.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Any

from mailengine.core.errors import Conflict, InvalidInput, MailengineError, Unavailable
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.statistics import follow_growth
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import attributes, lists
from mailengine.domain.contacts.imports.ahead import batches
from mailengine.domain.contacts.imports.alone import alone
from mailengine.domain.contacts.imports.errors_file import ErrorsFile
from mailengine.domain.contacts.imports.report import ERRORS_SHOWN, Counts, ImportProgress, ImportReport
from mailengine.domain.contacts.imports.request import (
    FOLDER,
    ImportRequest,
    Surroundings,
    check_rights,
    read_source,
    with_kinds,
)
from mailengine.domain.contacts.imports.source import Source
from mailengine.domain.contacts.imports.storing import Run, Storing
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, ContactTag, Job, JobKind, JobState, ListMember


async def import_file(around: Surroundings, scope: Scope, request: ImportRequest) -> ImportReport:
    """Raises InvalidInput for a file that cannot be imported at all; bad rows are in the report."""
    check_rights(scope, request)
    lists.check_name(request.list_name)
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        job, source = await _begin(around, scope, request, source)
        with alone(around.data_dir / FOLDER, job.id or 0):
            return await _run(around, scope, Run.of(job, source, request))


async def resume(around: Surroundings, scope: Scope, *, job_id: JobId) -> ImportReport:
    """Go on with an import that failed, was cancelled or killed; raises Conflict when it runs, its file changed
    or its list was deleted."""
    scope.require(Grant.EDIT)
    async with around.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
    if job.kind != JobKind.IMPORT:
        raise InvalidInput(f"job {job_id} is no import that a command ran")
    check_stands(job)
    request = ImportRequest.from_dict(job.result["request"])
    check_rights(scope, request)
    with unpack_folder(around.data_dir / FOLDER) as folder, alone(around.data_dir / FOLDER, job_id):
        source = await asyncio.to_thread(read_source, request, folder)
        async with around.db.read(scope) as tx:
            source = await with_kinds(tx, scope, source)
        if source.fingerprint != job.result["file"]:
            raise Conflict(f"{request.path} is not the file that job {job_id} read; import it anew")
        async with around.db.write(scope) as write:
            if not await lists.keep_any(write, scope, [job.subject_id or 0]):
                raise Conflict(f"the list of job {job_id} was deleted; import the file anew")
            await jobs.next_run(write, scope, job_id=job_id)
            job = await jobs.start(write, scope, job_id=job_id, now=around.clock.now())
        return await _run(around, scope, Run.of(job, source, request))


async def _begin(
    around: Surroundings, scope: Scope, request: ImportRequest, source: Source
) -> tuple[Job, Source]:
    """The list, the attributes and the running job, or nothing of them."""
    now = around.clock.now()
    async with around.db.write(scope) as tx:
        title = f"{request.path.name} into {request.list_name}"
        job = await jobs.create(tx, scope, kind=JobKind.IMPORT, title=title, now=now, result=fresh(request))
        source = await settle(tx, scope, job, request, source, now)
        assert job.id is not None
        return await jobs.start(tx, scope, job_id=JobId(job.id), now=now), source


async def settle(
    tx: WriteTx, scope: Scope, job: Job, request: ImportRequest, source: Source, now: datetime
) -> Source:
    """What a run of the job needs before its first row: list and attributes; the job knows its file from now on."""
    source = await with_kinds(tx, scope, source)
    await jobs.next_run(tx, scope, job_id=JobId(job.id or 0))
    await attributes.register(tx, scope, source.columns.attributes, kinds=source.kinds)
    target = await lists.get_or_create(tx, scope, name=request.list_name, now=now)
    job.subject_id = target.id
    job.total = source.facts.lines - source.dialect.has_header
    job.result = {**job.result, "file": source.fingerprint}
    return source


def fresh(request: ImportRequest) -> dict[str, Any]:
    return {"request": request.as_dict(), "records": 0, "errors_bytes": 0, "counts": Counts().as_dict()}


def check_stands(job: Job) -> None:
    if "undo" in job.result:
        raise Conflict(f"import {job.id} was taken back; import the file anew")


async def _run(around: Surroundings, scope: Scope, run: Run) -> ImportReport:
    async def stop() -> bool:
        return around.cancelled() or not await _still_running(around, scope, run)

    storing = Storing(around, scope, run, stop=stop)
    async with (
        _recorded(around, scope, run),
        batches(run.source, now=around.clock.now(), skip_records=run.records) as found,
        aclosing(storing.stored(found)) as stored,
    ):
        async for batch in stored:
            around.progress(ImportProgress(run.counts.copy(), batch.bytes_done, run.source.facts.size_bytes))
        if not storing.stopped:
            await finish(around, scope, run)
        elif around.cancelled():
            await _close(around, scope, run, JobState.CANCELLED)
    return _report(run, storing.errors, JobState.CANCELLED if storing.stopped else JobState.DONE)


async def _still_running(around: Surroundings, scope: Scope, run: Run) -> bool:
    """False when somebody cancelled the job, perhaps from another process."""
    async with around.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=run.job_id)
        return job.state == JobState.RUNNING or jobs.run_of(job) != run.number  # then the next batch says so


@asynccontextmanager
async def _recorded(around: Surroundings, scope: Scope, run: Run) -> AsyncGenerator[None]:
    """An import that ends early says why in its job; one whose process is killed stays `running`."""
    try:
        yield
    except asyncio.CancelledError:
        await _close(around, scope, run, JobState.CANCELLED)
        raise
    except jobs.TakenOver:
        raise  # what becomes of the job is for the other to say
    except MailengineError as error:
        await _close(around, scope, run, JobState.FAILED, str(error))
        raise
    except Exception:
        await _close(around, scope, run, JobState.FAILED, "a fault of the program; see its log")
        raise


async def _close(around: Surroundings, scope: Scope, run: Run, state: JobState, error: str = "") -> None:
    now = around.clock.now()
    # The database itself may be what fails; the first error is the one to show. And the job may be another's.
    with suppress(Unavailable, jobs.TakenOver):
        async with around.db.write(scope) as tx:
            await jobs.of_run(tx, scope, job_id=run.job_id, run=run.number)
            if state is JobState.FAILED:
                await jobs.fail(tx, scope, job_id=run.job_id, now=now, error=error)
            else:
                await jobs.cancel(tx, scope, job_id=run.job_id, now=now)


async def finish(around: Surroundings, scope: Scope, run: Run) -> None:
    now = around.clock.now()
    async with around.db.write(scope) as tx:
        await jobs.of_run(tx, scope, job_id=run.job_id, run=run.number)
        await jobs.finish(tx, scope, job_id=run.job_id, now=now, result=run.result())
        await audit.record(
            tx, scope, "contact.import", "job", run.job_id, now=now, list=run.list_id, **run.counts.as_dict()
        )
        if run.request.override_suppression:
            brought_back = run.counts.brought_back
            await audit.record(
                tx, scope, "suppression.override", "job", run.job_id, now=now, contacts=brought_back
            )
    async with around.db.write(scope) as tx:
        await follow_growth(tx, (Contact, ListMember, ContactTag), added=run.records)


def _report(run: Run, errors: ErrorsFile, state: JobState) -> ImportReport:
    return ImportReport(
        job=run.job_id,
        state=state.value,
        counts=run.counts,
        errors_file=errors.written,
        errors=errors.head(ERRORS_SHOWN),
        format=run.source.format,
        encoding=run.source.facts.decoding.label,
        delimiter=run.source.dialect.label,
        mapping=run.source.columns.shown(),
        kinds=run.source.kinds,
        list_name=run.request.list_name,
    )
