"""Jobs over the API: how far long work is, what came of it, and ending it."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts import bulk
from mailengine.domain.contacts.retyping import CHANGES
from mailengine.domain.contacts.segments.lexing import MAX_CHARS
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind, JobState
from mailengine.web.api.shapes import (
    MAX_ID,
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Name,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site

Kind = Annotated[JobKind | None, QueryParameter(name="kind")]
State = Annotated[JobState | None, QueryParameter(name="state")]
Ids = Annotated[
    list[Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]],
    msgspec.Meta(min_length=1, max_length=bulk.MAX_SELECTED),
]


COUNTED = (JobKind.BULK, *CHANGES)


class JobShape(msgspec.Struct):
    """`done` of `total` (null: not known); `changed` is of how many a bulk act, or the change of an attribute,
    changed something so far."""

    id: int
    kind: JobKind
    state: JobState
    title: str
    done: int
    total: int | None
    changed: int | None
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class BulkAct(Given):
    """For `contact_ids`, or everybody in a `segment` (by name), or whom a rule in `text` describes: one of them.
    `name` is the tag of tag and untag, the list of add-to-list and remove-from-list."""

    act: bulk.Act
    name: Name | None = None
    contact_ids: Ids | None = None
    segment: Name | None = None
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARS, pattern=NO_NUL)] | None = None


class Jobs(Controller):
    """Long work, done by the daemon."""

    path = "/jobs"
    tags = ("jobs",)

    @get(**READ, summary="List the jobs")
    async def list_jobs(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        kind: Kind = None,
        job_state: State = None,
        search: Search = None,
    ) -> PageOf[JobShape]:
        """Newest first; `search` looks into titles."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            kinds = () if kind is None else (kind,)
            found = await jobs.list_(tx, caller, page=page, kinds=kinds, state=job_state, text=search or "")
        return page_of(found, shape)

    @get("/{job_id:int}", **READ_ONE, summary="Get a job")
    async def get_job(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> JobShape:
        async with site.rt.db.read(caller) as tx:
            return shape(await jobs.get(tx, caller, job_id=JobId(job_id)))

    @post("/{job_id:int}/cancel", status_code=200, **WRITE, summary="End a job")
    async def cancel_job(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> JobShape:
        """What it did stays."""
        caller.require(Grant.EDIT)
        async with site.rt.db.write(caller) as tx:
            await jobs.cancel(tx, caller, job_id=JobId(job_id), now=site.rt.clock.now())
            return shape(await jobs.get(tx, caller, job_id=JobId(job_id)))

    @post("/bulk", status_code=202, **WRITE, summary="One act for many contacts")
    async def start_bulk(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[BulkAct]
    ) -> JobShape:
        """Answered at once; the job says how far it is."""
        if data.segment is None and data.text is None and data.contact_ids is None:
            raise InvalidInput("say for whom: contact_ids, segment or text")
        request = bulk.BulkRequest(
            data.act,
            data.name or "",
            None if data.contact_ids is None else tuple(data.contact_ids),
            data.segment,
            None if data.text is None else parse(data.text),
        )
        async with site.rt.db.write(caller) as tx:
            return shape(await bulk.request_bulk(tx, caller, request, now=site.rt.clock.now()))


def shape(row: Job) -> JobShape:
    assert row.id is not None
    changed = row.result.get("changed") if row.kind in COUNTED else None
    return JobShape(
        row.id,
        JobKind(row.kind),
        JobState(row.state),
        row.title,
        row.done,
        row.total,
        changed,
        row.error,
        row.created_at,
        row.started_at,
        row.finished_at,
    )
