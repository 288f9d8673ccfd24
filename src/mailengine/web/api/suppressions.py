"""The suppression list over the API. One of many is sent as JSON, 10,000 at a time, or as an uploaded file."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from anyio import to_thread
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts import suppression_files, suppression_uploads
from mailengine.domain.contacts.imports import uploads
from mailengine.domain.contacts.suppression import (
    HASH_PURPOSE,
    list_suppressions,
    parse_target,
    suppress_all,
    unsuppress,
)
from mailengine.models import Suppression, SuppressionKind
from mailengine.web.api import jobs
from mailengine.web.api.jobs import JobShape
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    WRITE,
    Cursor,
    Email,
    Given,
    Limit,
    Name,
    PageOf,
    Search,
    UploadToken,
    page_of,
    page_request,
    problems,
)
from mailengine.web.downloads import csv_file
from mailengine.web.site import Site

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=NO_NUL)]
Kind = Annotated[SuppressionKind | None, QueryParameter(name="kind")]
ForReason = Annotated[str | None, QueryParameter(name="reason", min_length=1, max_length=50, pattern=NO_NUL)]


class SuppressionShape(msgspec.Struct):
    """`value` is an address, a domain, or the hash of the address of a person who was erased."""

    kind: SuppressionKind
    value: str
    reason: str
    source: str
    created_at: datetime


class NewSuppressions(Given):
    """`targets` are addresses, and domains as `@example.org`."""

    targets: Annotated[list[Email], msgspec.Meta(min_length=1, max_length=10_000)]
    reason: Reason = "manual"


class Suppressed(msgspec.Struct):
    """How many were not on the list yet."""

    added: int


class SuppressionFile(Given):
    """A file that was uploaded (`POST /imports/files`): our own export, another system's CSV with a column of
    addresses or domains, or one of them a line. `name` is shown in its place."""

    file: UploadToken
    name: Name = "upload"


class Lifted(Given):
    """An address, or a domain as `@example.org`."""

    target: Email


def shape(row: Suppression) -> SuppressionShape:
    return msgspec.convert(row.model_dump(), SuppressionShape)


class Suppressions(Controller):
    """Who must not be mailed, whatever else is known of them."""

    path = "/suppressions"
    tags = ("suppressions",)

    @get(**READ, summary="List suppressions")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        of_kind: Kind = None,
        for_reason: ForReason = None,
        search: Search = None,
    ) -> PageOf[SuppressionShape]:
        """Newest first; `search` looks into addresses and domains."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await list_suppressions(
                tx, caller, page=page, kind=of_kind, reason=for_reason or "", text=search or ""
            )
        return page_of(found, shape)

    @post(status_code=200, **WRITE, summary="Suppress addresses and domains")
    async def add(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewSuppressions]
    ) -> Suppressed:
        """All of them or none: one that is neither an address nor a domain refuses the request."""
        targets = [parse_target(text) for text in data.targets]
        async with site.rt.db.write(caller) as tx:
            added = await suppress_all(
                tx, caller, targets, reason=data.reason, source=caller.actor, now=site.rt.clock.now()
            )
        return Suppressed(added)

    @post("/remove", status_code=204, **WRITE, summary="Allow mail again")
    async def remove(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Lifted]
    ) -> None:
        """Only with the person's consent: bounces and complaints cost the sender's reputation."""
        target = parse_target(data.target)
        hash_key = site.rt.keyring.derive_for_ever(HASH_PURPOSE)
        async with site.rt.db.write(caller) as tx:
            await unsuppress(tx, caller, target, now=site.rt.clock.now(), hash_key=hash_key)

    @post("/import", status_code=202, **WRITE, summary="Suppress all that a file names")
    async def import_file(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[SuppressionFile]
    ) -> JobShape:
        """The daemon does it, and the job says how far it is. Lines that cannot be read stop nothing."""
        caller.require(Grant.EDIT)
        rt = site.rt
        lines = await to_thread.run_sync(_lines, uploads.find(rt.settings.data_dir, caller, data.file))
        async with rt.db.write(caller) as tx:
            job = await suppression_uploads.queue(
                tx, caller, token=data.file, name=data.name, lines=lines, now=rt.clock.now()
            )
            return jobs.shape(job)

    @get("/file", media_type="text/csv", responses=problems(), summary="Get the list as a file")
    async def export_file(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> Stream:
        """A CSV, which `/suppressions/import` takes; cells that a spreadsheet would run begin with an apostrophe."""
        pages = suppression_files.rows(site.rt.db, caller, now=site.rt.clock.now())
        return csv_file("suppression.csv", suppression_files.COLUMNS, pages)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
