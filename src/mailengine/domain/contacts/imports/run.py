"""An import from the file to the report.

Invariants: what is wrong with the file as a whole is found before anything is stored. Each batch is one
transaction, and the job's cursor and counts move in it: a killed import left exactly the rows that its job
says, and `resume` goes on after them. While the database stores one batch, a thread reads the next.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from mailengine.core.clock import Clock
from mailengine.core.errors import Conflict, InvalidInput, MailengineError, Unavailable
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.statistics import follow_growth
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import attributes, lists
from mailengine.domain.contacts.imports import undo
from mailengine.domain.contacts.imports.ahead import batches
from mailengine.domain.contacts.imports.errors_file import ErrorsFile
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.report import ERRORS_SHOWN, Counts, ImportProgress, ImportReport
from mailengine.domain.contacts.imports.source import Batch, Source, understand
from mailengine.domain.contacts.imports.store import Rules, store
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, ContactTag, Job, JobKind, JobState, ListMember

FOLDER = "imports"  # of the data directory: error files, uploads, what is being unpacked
_SERIALISATION = frozenset({"40001", "40P01"})  # PostgreSQL: deadlock, serialisation failure
_TRIES = 5


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a person asked for. `mapping` is header → field, attribute or `ignore`."""

    path: Path
    list_name: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    on_duplicate: OnDuplicate = OnDuplicate.UPDATE
    consent_source: str = ""  # default: the file's name
    encoding: str | None = None
    delimiter: str | None = None
    part: str | None = None  # a sheet, or a file of an archive
    tags: tuple[str, ...] = ()  # for everybody in the file
    name: str = ""  # shown in place of the path
    override_suppression: bool = False  # brings back who left; needs the right to manage, and is audited

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path.absolute()), "mapping": dict(self.mapping)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImportRequest":
        rule = OnDuplicate(values["on_duplicate"])
        given = {**values, "path": Path(values["path"]), "on_duplicate": rule}
        return cls(**{**given, "tags": tuple(values.get("tags", ()))})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an import is given besides its request; the hooks are called on the event loop, once a batch."""

    db: Database
    clock: Clock
    data_dir: Path
    hash_key: bytes  # keyring.derive_for_ever(suppression.HASH_PURPOSE)
    progress: Callable[[ImportProgress], None] = lambda _progress: None
    cancelled: Callable[[], bool] = lambda: False


async def import_file(around: Surroundings, scope: Scope, request: ImportRequest) -> ImportReport:
    """Raises InvalidInput for a file that cannot be imported at all; bad rows are in the report."""
    check_rights(scope, request)
    lists.check_name(request.list_name)
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        job, source = await _begin(around, scope, request, source)
        return await _run(around, scope, _Run.of(job, source, request))


async def resume(around: Surroundings, scope: Scope, *, job_id: JobId) -> ImportReport:
    """Go on with an import that failed, was cancelled or killed; raises Conflict when its file changed
    or its list was deleted."""
    scope.require(Grant.EDIT)
    async with around.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
    if job.kind != JobKind.IMPORT:
        raise InvalidInput(f"job {job_id} is no import that a command ran")
    _check_stands(job)
    request = ImportRequest.from_dict(job.result["request"])
    check_rights(scope, request)
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        async with around.db.read(scope) as tx:
            source = await with_kinds(tx, scope, source)
        if _fingerprint(source) != job.result["file"]:
            raise Conflict(f"{request.path} is not the file that job {job_id} read; import it anew")
        async with around.db.write(scope) as write:
            if not await lists.keep_any(write, scope, [job.subject_id or 0]):
                raise Conflict(f"the list of job {job_id} was deleted; import the file anew")
            job = await jobs.start(write, scope, job_id=job_id, now=around.clock.now())
        return await _run(around, scope, _Run.of(job, source, request))


async def with_kinds(tx: ReadTx, scope: Scope, source: Source) -> Source:
    """The source with its attributes as the tenant knows them; raises InvalidInput for a contradiction."""
    kinds = await attributes.reconcile(tx, scope, source.kinds, source.columns.said_kinds)
    return replace(source, kinds=kinds)


def check_rights(scope: Scope, request: ImportRequest) -> None:
    scope.require(Grant.EDIT)
    if request.override_suppression:
        scope.require(Grant.MANAGE)


def read_source(request: ImportRequest, folder: Path, *, unfinished: bool = False) -> Source:
    """`folder` takes what has to be unpacked, and lives as long as the source."""
    try:
        return understand(
            request.path,
            mapping=request.mapping,
            folder=folder,
            encoding=request.encoding,
            delimiter=request.delimiter,
            part=request.part,
            unfinished=unfinished,
        )
    except (InvalidInput, Unavailable) as error:
        if not request.name:
            raise
        raise type(error)(str(error).replace(str(request.path), request.name)) from error


@dataclass(slots=True)
class _Run:
    """One run of a job and where it stands."""

    job_id: JobId
    list_id: int
    source: Source
    request: ImportRequest
    counts: Counts
    records: int
    errors_bytes: int

    @classmethod
    def of(cls, job: Job, source: Source, request: ImportRequest) -> "_Run":
        assert job.id is not None
        assert job.subject_id is not None
        held = job.result
        counts = Counts(**held["counts"])
        return cls(
            JobId(job.id), job.subject_id, source, request, counts, held["records"], held["errors_bytes"]
        )

    def result(self) -> dict[str, Any]:
        """What the job holds: enough to resume, nothing about a person."""
        return {
            "request": self.request.as_dict(),
            "file": _fingerprint(self.source),
            "records": self.records,
            "errors_bytes": self.errors_bytes,
            "counts": self.counts.as_dict(),
        }


async def _begin(
    around: Surroundings, scope: Scope, request: ImportRequest, source: Source
) -> tuple[Job, Source]:
    """The list, the attributes and the running job, or nothing of them."""
    now = around.clock.now()
    async with around.db.write(scope) as tx:
        title = f"{request.path.name} into {request.list_name}"
        job = await jobs.create(tx, scope, kind=JobKind.IMPORT, title=title, now=now, result=_fresh(request))
        source = await _settle(tx, scope, job, request, source, now)
        assert job.id is not None
        return await jobs.start(tx, scope, job_id=JobId(job.id), now=now), source


async def _settle(
    tx: WriteTx, scope: Scope, job: Job, request: ImportRequest, source: Source, now: datetime
) -> Source:
    """What the job needs before its first row: list and attributes; it knows its file from now on."""
    source = await with_kinds(tx, scope, source)
    await attributes.register(tx, scope, source.columns.attributes, kinds=source.kinds)
    target = await lists.get_or_create(tx, scope, name=request.list_name, now=now)
    job.subject_id = target.id
    job.total = source.facts.lines - source.dialect.has_header
    job.result = {**job.result, "file": _fingerprint(source)}
    return source


def _fresh(request: ImportRequest) -> dict[str, Any]:
    return {"request": request.as_dict(), "records": 0, "errors_bytes": 0, "counts": Counts().as_dict()}


async def queue_upload(tx: WriteTx, scope: Scope, request: ImportRequest, *, name: str, now: datetime) -> Job:
    """The job by which the daemon imports a file that was uploaded under this name."""
    check_rights(scope, request)
    list_name = lists.check_name(request.list_name)
    title = f"{name} into {list_name}"
    named = replace(request, name=name, consent_source=(request.consent_source or f"import of {name}")[:200])
    job = await jobs.create(tx, scope, kind=JobKind.UPLOAD, title=title, now=now, result=_fresh(named))
    await audit.record(tx, scope, "contact.import.start", "job", job.id, now=now)
    return job


async def begin_again(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> Job:
    """Have the daemon go on with an upload that failed or was cancelled; raises Conflict when its file or its list
    is gone."""
    job = await jobs.locked(tx, scope, job_id=job_id)
    if job.kind != JobKind.UPLOAD:
        raise Conflict(f"import {job_id} was run by a command: go on with `mailengine jobs resume {job_id}`")
    _check_stands(job)
    request = ImportRequest.from_dict(job.result["request"])
    check_rights(scope, request)
    if not request.path.is_file():
        raise Conflict(f"the file of import {job_id} is gone; upload it anew")
    if job.subject_id is not None and not await lists.keep_any(tx, scope, [job.subject_id]):
        raise Conflict(f"the list of import {job_id} was deleted; import the file anew")
    return await jobs.start(tx, scope, job_id=job_id, now=now)


def resumable(job: Job) -> bool:
    """Whether the daemon can go on with it (`begin_again`), but for what may be gone meanwhile."""
    stopped = job.state in (JobState.FAILED, JobState.CANCELLED)
    there = job.kind == JobKind.UPLOAD and ImportRequest.from_dict(job.result["request"]).path.is_file()
    return stopped and there and "undo" not in job.result


def _check_stands(job: Job) -> None:
    if "undo" in job.result:
        raise Conflict(f"import {job.id} was taken back; import the file anew")


async def pieces(around: Surroundings, scope: Scope, job_id: JobId) -> AsyncGenerator[None]:
    """The work of a running upload job, a batch at a time; goes on where it stopped."""
    async with around.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
    request = ImportRequest.from_dict(job.result["request"])
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        if job.result.get("file", _fingerprint(source)) != _fingerprint(source):
            raise Conflict("the file is not the one that the import began with; upload it anew")
        async with around.db.write(scope) as write:
            job = await jobs.get(write, scope, job_id=job_id)
            source = await _settle(write, scope, job, request, source, around.clock.now())
        run = _Run.of(job, source, request)
        errors = _errors_file(around, run)
        rules = rules_of(request, source, around, list_id=run.list_id)
        async with batches(source, skip_records=run.records) as found:
            async for batch in found:
                await _store_batch(around, scope, run, batch, rules, errors, found.read_on)
                yield
        await _finish(around, scope, run)
    # The upload has done what it was for; an erased person must not be found in it.
    await asyncio.to_thread(request.path.unlink, missing_ok=True)


async def _run(around: Surroundings, scope: Scope, run: _Run) -> ImportReport:
    errors = _errors_file(around, run)
    rules = rules_of(run.request, run.source, around, list_id=run.list_id)
    async with _recorded(around, scope, run), batches(run.source, skip_records=run.records) as found:
        async for batch in found:
            if around.cancelled():
                await _close(around, scope, run, JobState.CANCELLED)
                return _report(run, errors, JobState.CANCELLED)
            if not await _still_running(around, scope, run):
                return _report(run, errors, JobState.CANCELLED)
            await _store_batch(around, scope, run, batch, rules, errors, found.read_on)
            around.progress(ImportProgress(run.counts.copy(), batch.bytes_done, run.source.facts.size_bytes))
        await _finish(around, scope, run)
    return _report(run, errors, JobState.DONE)


def errors_path(data_dir: Path, job_id: int) -> Path:
    return data_dir / FOLDER / f"{job_id}-errors.csv"


def _errors_file(around: Surroundings, run: _Run) -> ErrorsFile:
    return ErrorsFile(
        errors_path(around.data_dir, run.job_id),
        run.source.columns.headers,
        keep_bytes=run.errors_bytes,
    )


def rules_of(request: ImportRequest, source: Source, around: Surroundings, *, list_id: int | None) -> Rules:
    consent = (request.consent_source or f"import of {request.path.name}")[:200]
    return Rules(
        list_id=list_id,
        on_duplicate=request.on_duplicate,
        columns=source.written,
        consent=(consent, around.clock.now(), ""),
        hash_key=around.hash_key,
        tags=request.tags,
        override=request.override_suppression,
    )


async def _still_running(around: Surroundings, scope: Scope, run: _Run) -> bool:
    """False when somebody cancelled the job, perhaps from another process."""
    async with around.db.read(scope) as tx:
        return (await jobs.get(tx, scope, job_id=run.job_id)).state == JobState.RUNNING


async def _store_batch(
    around: Surroundings,
    scope: Scope,
    run: _Run,
    batch: Batch,
    rules: Rules,
    errors: ErrorsFile,
    compared: Callable[[], object],
) -> None:
    """The batch, its rejected rows and the job's new cursor; tried again after a deadlock."""
    for attempt in range(_TRIES):
        counts = run.counts.copy()
        errors.cut(run.errors_bytes)
        try:
            async with around.db.write(scope, bulk=True) as tx:
                found = await store(tx, scope, batch.rows, rules, around.clock.now(), compared=compared)
                rejected = sorted(batch.rejected + found.forgotten)
                counts.add_steps(found.steps)
                counts.add_refused(rejected=len(rejected), duplicates=len(batch.duplicates))
                counts.suppressed += len(found.blocked)
                counts.flagged += batch.flagged
                await undo.record(tx, scope, run.job_id, batch.records, found.trace)
                errors.append(rejected)
                moved = replace(run, counts=counts, records=batch.records, errors_bytes=errors.size_bytes)
                await jobs.progress(tx, scope, job_id=run.job_id, done=batch.records, result=moved.result())
            run.counts, run.records, run.errors_bytes = counts, moved.records, moved.errors_bytes
            return
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in _SERIALISATION or attempt == _TRIES - 1:
                raise


@asynccontextmanager
async def _recorded(around: Surroundings, scope: Scope, run: _Run) -> AsyncGenerator[None]:
    """An import that ends early says why in its job; one whose process is killed stays `running`."""
    try:
        yield
    except asyncio.CancelledError:
        await _close(around, scope, run, JobState.CANCELLED)
        raise
    except MailengineError as error:
        await _close(around, scope, run, JobState.FAILED, str(error))
        raise
    except Exception:
        await _close(around, scope, run, JobState.FAILED, "a fault of the program; see its log")
        raise


async def _close(around: Surroundings, scope: Scope, run: _Run, state: JobState, error: str = "") -> None:
    now = around.clock.now()
    with suppress(Unavailable):  # the database itself may be what fails; the first error is the one to show
        async with around.db.write(scope) as tx:
            if state is JobState.FAILED:
                await jobs.fail(tx, scope, job_id=run.job_id, now=now, error=error)
            else:
                await jobs.cancel(tx, scope, job_id=run.job_id, now=now)


async def _finish(around: Surroundings, scope: Scope, run: _Run) -> None:
    now = around.clock.now()
    async with around.db.write(scope) as tx:
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


def _report(run: _Run, errors: ErrorsFile, state: JobState) -> ImportReport:
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


def _fingerprint(source: Source) -> dict[str, int]:
    size_bytes, modified_ns = source.stamp
    return {"size": size_bytes, "modified_ns": modified_ns}
