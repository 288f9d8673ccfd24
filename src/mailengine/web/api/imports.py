"""Imports over the API: a file is uploaded, looked at, imported by the daemon, and taken back if need be."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import JSONBody, PathParameter
from litestar.response import File

from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts.imports import errors_file, mappings, uploads
from mailengine.domain.contacts.imports.mapping import MAX_COLUMNS, check_target
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.preview import preview
from mailengine.domain.contacts.imports.request import ImportRequest
from mailengine.domain.contacts.imports.undo import rehearse_undo
from mailengine.domain.contacts.imports.upload_jobs import begin_again, queue_upload
from mailengine.domain.contacts.tags import MAX_NAME, check_tag
from mailengine.domain.jobs import jobs
from mailengine.models import ImportMapping, Job, JobState
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    UploadToken,
    page_of,
    page_request,
    problems,
)
from mailengine.web.site import Site
from mailengine.web.uploads import begin_undo, find_import, rehearsed, surroundings, take_turn

Mapping = Annotated[dict[Line, Line], msgspec.Meta(max_length=MAX_COLUMNS)]
TagNames = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)]],
    msgspec.Meta(max_length=100),
]
MappingName = Annotated[str, PathParameter(min_length=1, max_length=200, pattern=NO_NUL)]
ROWS_SHOWN = 200  # of a trial
START: dict[str, Any] = {"responses": problems(404, 409, 413, 422, 429)}
CSV_FILE: dict[str, Any] = {"media_type": "text/csv", "responses": problems(404)}


@dataclass
class Upload(Operation):
    """The body is the file, byte for byte: it goes to the disk as it comes."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody(
            content={"application/octet-stream": OpenAPIMediaType(schema=schema)}, required=True
        )


class Uploaded(msgspec.Struct):
    """`file` is what previews and imports name; it is kept until it is imported, for a day at most."""

    file: str
    bytes: int


class Chosen(Given):
    """A file and how to read it; what is left out is detected. `mapping` says of headers what they become: a field,
    an attribute (`score:number`) or `ignore`; it adds to a saved one."""

    file: UploadToken
    mapping: Mapping = msgspec.field(default_factory=dict)
    saved_mapping: Name | None = None
    encoding: Line | None = None
    delimiter: Line | None = None
    part: Line | None = None


class NewImport(Chosen):
    """`name` is shown in place of the file's; `tags` are for everybody in it. `override_suppression` brings people
    back who left: it takes the right to manage and is audited."""

    name: Name = "upload"
    tags: TagNames = msgspec.field(default_factory=list)
    list: Name = "Contacts"
    on_duplicate: OnDuplicate = OnDuplicate.UPDATE
    consent_source: Line = ""
    override_suppression: bool = False


class ImportShape(msgspec.Struct):
    """`counts` say what became of the rows so far; `undo` is the job that took the import back."""

    id: int
    state: JobState
    title: str
    done: int
    total: int | None
    error: str
    counts: dict[str, int]
    undo: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Column(msgspec.Struct):
    """What a column would become, and some of its cells."""

    header: str
    target: str
    kind: str | None
    examples: list[str]


class PreviewShape(msgspec.Struct):
    """`lines` is about how many rows there are; `rows` are the first."""

    format: str
    encoding: str
    delimiter: str
    has_header: bool
    lines: int
    columns: list[Column]
    rows: list[list[str]]


class RejectedRow(msgspec.Struct):
    line: int
    reason: str
    row: list[str]


class TrialShape(msgspec.Struct):
    """What an import would do. `whole` is false where it took too long and tells of the first rows only; `rows` are
    the first, each as it would be stored, with its state, or with the reason for which it would be rejected."""

    whole: bool
    counts: dict[str, int]
    format: str
    encoding: str
    delimiter: str
    mapping: dict[str, str]
    kinds: dict[str, str]
    errors: list[RejectedRow]
    rows: list[dict[str, Any]]


class UndoShape(msgspec.Struct):
    """What taking back did, or would do when `job` is null."""

    job: int | None
    counts: dict[str, int]


class Undo(Given):
    dry_run: bool = False


class MappingShape(msgspec.Struct):
    name: str
    mapping: dict[str, str]
    updated_at: datetime


class NewMapping(Given):
    mapping: Annotated[dict[Line, Line], msgspec.Meta(min_length=1, max_length=MAX_COLUMNS)]


def shape(job: Job) -> ImportShape:
    assert job.id is not None
    return ImportShape(
        job.id,
        JobState(job.state),
        job.title,
        job.done,
        job.total,
        job.error,
        job.result.get("counts", {}),
        job.result.get("undo"),
        job.created_at,
        job.started_at,
        job.finished_at,
    )


def mapping_shape(row: ImportMapping) -> MappingShape:
    return MappingShape(row.name, row.mapping, row.updated_at)


class Imports(Controller):
    """Files of contacts into a list."""

    path = "/imports"
    tags = ("imports",)

    @post("/files", operation_class=Upload, request_max_body_size=None, **START, summary="Upload a file")
    async def upload(
        self, request: Request[Any, Any, State], site: NamedDependency[Site], caller: NamedDependency[Scope]
    ) -> Uploaded:
        """CSV, TSV, XLSX, ODS or a ZIP of these, up to 512 MiB, as the body."""
        token, size = await uploads.receive(
            site.rt.settings.data_dir, caller, request.stream(), now=site.rt.clock.now()
        )
        return Uploaded(token, size)

    @post("/preview", status_code=200, **WRITE, summary="Look at an uploaded file")
    async def look(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Chosen]
    ) -> PreviewShape:
        """What each column would become, and the first rows; nothing is stored."""
        request = await _request(site, caller, data)
        found = await preview(surroundings(site), caller, request)
        return msgspec.convert(found.as_dict(), PreviewShape)

    @post("/dry-run", status_code=200, **START, summary="Try an import")
    async def try_(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewImport]
    ) -> TrialShape:
        """Counts what would be new, changed, unchanged and rejected; nothing is stored."""
        rows = list[dict[str, Any]]()

        def note(row: dict[str, Any]) -> None:
            if len(rows) < ROWS_SHOWN:
                rows.append(row)

        tried = await rehearsed(site, caller, await _request(site, caller, data), each_row=note)
        report = tried.report
        found = report.as_dict() | {"whole": tried.whole, "counts": report.counts.as_dict(), "rows": rows}
        return msgspec.convert(found, TrialShape)

    @post(status_code=202, **START, summary="Import an uploaded file")
    async def start(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewImport]
    ) -> ImportShape:
        """The daemon does it; ask for its progress. Five a minute."""
        request = await _request(site, caller, data)
        take_turn(site, caller)
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            return shape(await queue_upload(tx, caller, request, name=data.name, now=now))

    @get("/{job_id:int}", **READ_ONE, summary="Get an import")
    async def get_import(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> ImportShape:
        async with site.rt.db.read(caller) as tx:
            return shape(await find_import(tx, caller, job_id))

    @get("/{job_id:int}/errors", **CSV_FILE, summary="Get the rejected rows")
    async def errors(self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id) -> File:
        """A CSV: line, reason and the row as it was, cells that are formulas included. Not there when no row was
        rejected, and after 30 days."""
        caller.require(Grant.EDIT)
        async with site.rt.db.read(caller) as tx:
            await find_import(tx, caller, job_id)
        path = errors_file.find(site.rt.settings.data_dir, job_id)
        return File(path, filename=f"import-{job_id}-errors.csv", media_type="text/csv")

    @post("/{job_id:int}/cancel", status_code=200, **WRITE, summary="Cancel an import")
    async def cancel(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> ImportShape:
        """After the batch it is at; what was stored stays."""
        caller.require(Grant.EDIT)
        async with site.rt.db.write(caller) as tx:
            job = await find_import(tx, caller, job_id)
            await jobs.cancel(tx, caller, job_id=JobId(job_id), now=site.rt.clock.now())
            return shape(job)

    @post("/{job_id:int}/resume", status_code=202, **WRITE, summary="Go on with an import")
    async def resume(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> ImportShape:
        """One that failed or was cancelled goes on behind the last row that it stored, while its file is kept: a
        day. After a crash the daemon goes on by itself."""
        async with site.rt.db.write(caller) as tx:
            await find_import(tx, caller, job_id)
            return shape(await begin_again(tx, caller, job_id=JobId(job_id), now=site.rt.clock.now()))

    @post("/{job_id:int}/undo", status_code=202, **WRITE, summary="Take an import back")
    async def undo(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id, data: JSONBody[Undo]
    ) -> UndoShape:
        """Within 30 days: whom it created is deleted, what it changed is given back unless it was changed since."""
        rt = site.rt
        if data.dry_run:
            return UndoShape(None, await rehearse_undo(rt.db, rt.clock, caller, import_id=JobId(job_id)))
        async with rt.db.write(caller) as tx:
            job = await begin_undo(tx, caller, job_id, now=rt.clock.now())
        return UndoShape(job.id, job.result.get("counts", {}))

    @get("/mappings", **READ, summary="List saved mappings")
    async def list_mappings(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> PageOf[MappingShape]:
        """By name."""
        async with site.rt.db.read(caller) as tx:
            found = await mappings.list_mappings(tx, caller, page=page_request(limit, cursor))
        return page_of(found, mapping_shape)

    @put("/mappings/{name:str}", **WRITE, summary="Save a mapping")
    async def save_mapping(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        name: MappingName,
        data: JSONBody[NewMapping],
    ) -> MappingShape:
        """In place of the one of that name."""
        async with site.rt.db.write(caller) as tx:
            saved = await mappings.save(tx, caller, name=name, mapping=data.mapping, now=site.rt.clock.now())
            return mapping_shape(saved)

    @delete("/mappings/{name:str}", **WRITE, summary="Delete a saved mapping")
    async def delete_mapping(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], name: MappingName
    ) -> None:
        async with site.rt.db.write(caller) as tx:
            await mappings.delete(tx, caller, name=name, now=site.rt.clock.now())


async def _request(site: Site, caller: Scope, data: Chosen) -> ImportRequest:
    """What the domain is asked for; raises NotFound for a file or mapping that is not there."""
    caller.require(Grant.EDIT)
    saved: dict[str, str] = {}
    if data.saved_mapping is not None:
        async with site.rt.db.read(caller) as tx:
            saved = (await mappings.get(tx, caller, name=data.saved_mapping)).mapping
    for target in data.mapping.values():
        check_target(target)
    chosen = ImportRequest(
        path=uploads.find(site.rt.settings.data_dir, caller, data.file),
        list_name="",
        name="the file",
        mapping={**saved, **data.mapping},
        encoding=data.encoding or None,
        delimiter=data.delimiter or None,
        part=data.part or None,
    )
    if not isinstance(data, NewImport):
        return chosen
    return replace(
        chosen,
        list_name=data.list,
        on_duplicate=data.on_duplicate,
        consent_source=data.consent_source,
        tags=tuple(map(check_tag, data.tags)),
        override_suppression=data.override_suppression,
    )
