"""What people may ask for, exports of a whole tenant, upkeep and the audit log over the API."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import File

from mailengine.core.scope import Scope
from mailengine.core.zones import in_utc
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import upkeep
from mailengine.domain.privacy import exports, person
from mailengine.models import AuditEntry, Job
from mailengine.web.api.rights import MANAGE
from mailengine.web.api.shapes import (
    MAX_ID,
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Email,
    Given,
    Id,
    Limit,
    PageOf,
    page_of,
    page_request,
)
from mailengine.web.erasing import erase_person
from mailengine.web.site import Site

Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
KeptDays = Annotated[int, msgspec.Meta(ge=30, le=3650)]
Word = Annotated[str | None, QueryParameter(max_length=100, pattern=NO_NUL)]
Moment = Annotated[datetime | None, QueryParameter(description="with its time zone")]


class Who(Given):
    """The person's address."""

    address: Email


class ErasedShape(msgspec.Struct):
    """Rows overwritten or removed by table, and rows and files of jobs."""

    contact: int | None
    rows: dict[str, int]
    files: int


class PersonData(msgspec.Struct):
    """Rows by table, with their columns."""

    address: str
    exported_at: datetime
    held: dict[str, list[dict[str, Any]]]


class ExportShape(msgspec.Struct):
    """`expires_at` is set when the file can be fetched."""

    job: int
    state: str
    done: int
    error: str
    expires_at: str | None


class RulesShape(msgspec.Struct):
    """Hygiene, and how many days something is kept; null: for ever."""

    hygiene: bool
    bounces: int
    bounce_days: int
    quiet_days: int
    inactive_days: int
    keep_events_days: int | None
    keep_audit_days: int | None


class RulesChange(Given):
    """What is left out stays."""

    hygiene: bool | msgspec.UnsetType = msgspec.UNSET
    bounces: Annotated[int, msgspec.Meta(ge=1, le=100)] | msgspec.UnsetType = msgspec.UNSET
    bounce_days: Days | msgspec.UnsetType = msgspec.UNSET
    quiet_days: Days | msgspec.UnsetType = msgspec.UNSET
    inactive_days: Days | msgspec.UnsetType = msgspec.UNSET
    keep_events_days: KeptDays | msgspec.UnsetType | None = msgspec.UNSET
    keep_audit_days: KeptDays | msgspec.UnsetType | None = msgspec.UNSET


class AuditShape(msgspec.Struct):
    """Metadata only: never an address, a row or a body."""

    id: int
    at: datetime
    actor: str
    action: str
    resource: str
    resource_id: int | None
    address: str
    details: dict[str, Any]


def export_shape(job: Job) -> ExportShape:
    assert job.id is not None
    return ExportShape(job.id, job.state, job.done, job.error, job.result.get("expires_at"))


def audit_shape(row: AuditEntry) -> AuditShape:
    return msgspec.convert(row.model_dump(), AuditShape)


class Privacy(Controller):
    """What a person may ask of the organisation."""

    path = "/privacy"
    tags = ("privacy",)

    @post("/person", status_code=200, **MANAGE, **WRITE, summary="Get all that is held of a person")
    async def person(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Who]
    ) -> PersonData:
        """A POST, so that the address stands in no log of requests."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            held = await person.collect(tx, caller, address=data.address)
            contact_id = held["contacts"][0]["id"] if "contacts" in held else None
            await person.record_export(tx, caller, contact_id=contact_id, now=now)
        return PersonData(data.address, now, held)

    @post("/erase", status_code=200, **MANAGE, **WRITE, summary="Erase a person")
    async def erase(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Who]
    ) -> ErasedShape:
        """For good, everywhere, and so that no import brings them back; figures of campaigns stay."""
        found, files = await erase_person(site.rt, caller, address=data.address)
        return ErasedShape(found.contact_id, found.rows, files)


class TenantExports(Controller):
    """All data of the organisation as a ZIP."""

    path = "/tenant-exports"
    tags = ("tenant exports",)

    @post(status_code=202, **MANAGE, **WRITE, summary="Ask for all data")
    async def ask(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> ExportShape:
        """The daemon makes the file; whoever asked gets a message when it is there. It is kept for 7 days."""
        async with site.rt.db.write(caller) as tx:
            return export_shape(await exports.request(tx, caller, now=site.rt.clock.now()))

    @get("/{job_id:int}", **MANAGE, **READ_ONE, summary="See how far an export is")
    async def status(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id
    ) -> ExportShape:
        async with site.rt.db.read(caller) as tx:
            return export_shape(await exports.find(tx, caller, job_id=job_id))

    @get("/{job_id:int}/file", **MANAGE, **READ_ONE, summary="Fetch the file of an export")
    async def fetch(self, site: NamedDependency[Site], caller: NamedDependency[Scope], job_id: Id) -> File:
        async with site.rt.db.read(caller) as tx:
            job = await exports.find(tx, caller, job_id=job_id)
        path = exports.file_of(site.rt.settings.data_dir, job, now=site.rt.clock.now())
        return File(path, filename=path.name, media_type="application/zip")


class UpkeepRules(Controller):
    """List hygiene and retention."""

    path = "/upkeep"
    tags = ("upkeep",)

    @get(**READ, summary="See the rules of upkeep")
    async def see(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> RulesShape:
        async with site.rt.db.read(caller) as tx:
            return msgspec.convert(await upkeep.rules_of(tx, caller), RulesShape, from_attributes=True)

    @patch(**MANAGE, **WRITE, summary="Change the rules of upkeep")
    async def change(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[RulesChange]
    ) -> RulesShape:
        given = {name: getattr(data, name) for name in data.__struct_fields__}
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        async with site.rt.db.write(caller) as tx:
            rules = await upkeep.change(tx, caller, now=site.rt.clock.now(), **changes)
        return msgspec.convert(rules, RulesShape, from_attributes=True)


class AuditLog(Controller):
    """Who did what, and when."""

    path = "/audit"
    tags = ("audit",)

    @get(**MANAGE, **READ, summary="List what was done")
    async def list_entries(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        actor: Word = None,
        action: Word = None,
        resource: Word = None,
        resource_id: Annotated[int | None, QueryParameter(ge=1, le=MAX_ID)] = None,
        since: Moment = None,
        until: Moment = None,
    ) -> PageOf[AuditShape]:
        """Newest first; an `action` that ends in `.*` stands for all of one kind."""
        moments = [None if moment is None else in_utc(moment) for moment in (since, until)]
        wanted = audit.Wanted(actor, action, resource, resource_id, *moments)
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            return page_of(await audit.list_(tx, caller, page=page, wanted=wanted), audit_shape)
