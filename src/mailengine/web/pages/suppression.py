"""Who must never be mailed: looked through, added to by hand or by a file, taken off, given out as a file."""

from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread
from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.response import Stream

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts import suppression, suppression_files, suppression_uploads
from mailengine.domain.contacts.imports import uploads
from mailengine.domain.contacts.imports.request import FOLDER
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.contacts.suppression_files import Taken
from mailengine.models import SuppressionKind
from mailengine.web.downloads import csv_file
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.site import Site

PATH = "/suppression"
# The reasons that mailengine itself writes; another system's file may bring others.
REASONS = {
    "manual": "By hand",
    "imported": "From a file",
    "bounces": "Bounced",
    "inactive": "Inactive for long",
    "erased": "Asked to be forgotten",
}
# What somebody waits for: some 8,000 lines, half a second. Above it the daemon does it.
AT_ONCE_BYTES = 250_000
MAX_BODY_BYTES = 64 << 20  # two million addresses; a browser's form, of which more would only fill the disk


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """What must not be mailed, newest first."""
    return await _show(site, request, Form())


@post(PATH)
async def add(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add addresses and domains, one a line."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("targets"):
        targets = [
            suppression.parse_target(line) for line in form.text("targets").split("\n") if line.strip()
        ]
        if not targets:
            raise InvalidInput("write an address or a domain, one a line")
        scope.require(Grant.EDIT)
        async with site.rt.db.write(scope) as tx:
            new = await suppression.suppress_all(
                tx, scope, targets, reason="manual", source="page", now=site.rt.clock.now()
            )
        return done(site, PATH, f"{new:,} added to the suppression list")
    return await _show(site, request, form)


@post(f"{PATH}/import", request_max_body_size=MAX_BODY_BYTES)
async def import_(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A file of them: our own export, or another system's. Lines that are none are told and stop nothing."""
    form, file = await Form.of(request), (await request.form()).get("file")
    with form.checking("file"):
        if not isinstance(file, UploadFile) or not file.filename:
            raise InvalidInput("choose a file")
        head = await file.read(AT_ONCE_BYTES + 1)
        if len(head) > AT_ONCE_BYTES:
            job_id = await _begin(site, request.auth.scope, file, head)
            return done(site, f"/jobs/{job_id}", "The import has begun")
        taken = await _take_over(site, request.auth.scope, file.filename, head)
        if not taken.rejected:
            return done(site, PATH, f"{taken.added:,} added, {taken.known:,} were on the list already")
        answer = await _show(site, request, form, taken)
        answer.headers["HX-Push-Url"] = "false"
        return answer
    return await _show(site, request, form)


async def _begin(site: Site, scope: Scope, file: UploadFile, head: bytes) -> int:
    """The job by which the daemon takes over what was given."""
    lines = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal lines
        chunk = head
        while chunk:
            lines += chunk.count(b"\n")
            yield chunk
            chunk = await file.read(1 << 20)

    now = site.rt.clock.now()
    token, _size = await uploads.receive(site.rt.settings.data_dir, scope, chunks(), now=now)
    async with site.rt.db.write(scope) as tx:
        job = await suppression_uploads.queue(
            tx, scope, token=token, name=file.filename.replace("\x00", ""), lines=lines, now=now
        )
    return job.id or 0


@post(f"{PATH}/remove")
async def remove(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Allow mail again, of those rows that were ticked."""
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.write(scope) as tx:
        removed = await suppression.unsuppress_ids(tx, scope, ids=form.ids(), now=site.rt.clock.now())
    words = f"{removed:,} taken off the suppression list" if removed else "Nothing was selected"
    return done(site, PATH, words, "success" if removed else "warning")


@get(f"{PATH}.csv")
async def download(request: UserRequest, site: NamedDependency[Site]) -> Stream:
    """All of it, in the form that an import takes."""
    pages = suppression_files.rows(site.rt.db, request.auth.scope, now=site.rt.clock.now())
    return csv_file("suppression.csv", suppression_files.COLUMNS, pages)


async def _take_over(site: Site, scope: Scope, name: str, body: bytes) -> Taken:
    with unpack_folder(site.rt.settings.data_dir / FOLDER) as folder:
        path = folder / "list"
        await to_thread.run_sync(path.write_bytes, body)
        return await suppression_files.take_over(
            site.rt.db,
            scope,
            path,
            name=name,
            reason="imported",
            hash_key=site.rt.keyring.derive_for_ever(suppression.HASH_PURPOSE),
            now=site.rt.clock.now,
        )


async def _show(site: Site, request: UserRequest, form: Form, taken: Taken | None = None) -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "kind", "reason")
    async with site.rt.db.read(scope) as tx:
        found = await suppression.list_suppressions(
            tx,
            scope,
            page=page_of(params),
            kind=one_of(params["kind"], SuppressionKind),
            reason=params["reason"],
            text=params["q"],
        )
    listing = Listing(PATH, params, found, "entry", "entries")
    return await form_page(
        site, request, "pages/suppression.html", form, listing=listing, reasons=REASONS, taken=taken
    )
