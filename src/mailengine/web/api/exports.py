"""Exports over the API: asked for, made by the daemon, downloaded within seven days."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import File

from mailengine.core.errors import NotFound
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.domain.contacts.exports.run import KEPT, download, queue
from mailengine.domain.jobs import jobs
from mailengine.models import ContactState, Job, JobKind, JobState
from mailengine.web.api import rights
from mailengine.web.api.shapes import NO_NUL, READ_ONE, WRITE, Given, Id, Name, problems
from mailengine.web.site import Site

Rules = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000, pattern=NO_NUL)]


class NewExport(Given):
    """Whom all of it describes; `where` is a text of the segments' language."""

    format: Format = Format.CSV
    list: Name | None = None
    segment: Name | None = None
    tag: Name | None = None
    state: ContactState | None = None
    where: Rules | None = None


class ExportShape(msgspec.Struct):
    """`done` contacts are in the file so far; it can be downloaded until `expires_at`."""

    id: int
    state: JobState
    format: Format
    done: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


def shape(job: Job) -> ExportShape:
    assert job.id is not None
    expires = job.finished_at + KEPT if job.finished_at is not None else None
    state, form = JobState(job.state), Format(job.result["format"])
    return ExportShape(job.id, state, form, job.done, job.error, job.created_at, job.finished_at, expires)


class Exports(Controller):
    """Contacts as a file."""

    path = "/exports"
    tags = ("exports",)

    @post(status_code=202, **WRITE, **rights.READ, summary="Export contacts")
    async def start(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewExport]
    ) -> ExportShape:
        """With state, tags, lists, consent and attributes, all of which whoever may read may take along; the daemon
        makes the file."""
        state = data.state.value if data.state is not None else None
        choice = Choice(data.list, data.segment, data.tag, state, data.where)
        async with site.rt.db.write(caller) as tx:
            return shape(await queue(tx, caller, choice, data.format, clock=site.rt.clock))

    @get("/{job_id:int}", **READ_ONE, summary="Get an export")
    async def get_export(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> ExportShape:
        async with site.rt.db.read(caller) as tx:
            job = await jobs.get(tx, caller, job_id=JobId(job_id))
        if job.kind != JobKind.EXPORT:
            raise NotFound(f"there is no export {job_id}")
        return shape(job)

    @get(
        "/{job_id:int}/file",
        media_type="application/octet-stream",
        responses=problems(404, 409),
        summary="Download an export",
    )
    async def get_file(self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id) -> File:
        """In a CSV, cells that a spreadsheet would run begin with an apostrophe; importing the file takes it off."""
        rt = site.rt
        async with rt.db.read(caller) as tx:
            path, name = await download(
                tx, caller, job_id=JobId(job_id), data_dir=rt.settings.data_dir, clock=rt.clock
            )
        return File(path, filename=name, media_type="application/octet-stream")
