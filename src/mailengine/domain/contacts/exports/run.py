"""An export from the request to the file. The file grows a page at a time and the job's cursor with it: after a
crash it is cut to what the job says and goes on there. Times and changes meanwhile are those of each page."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailengine.core.clock import Clock
from mailengine.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.attributes import attribute_kinds
from mailengine.domain.contacts.exports import chosen, formats
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind, JobState

FOLDER = "exports"  # of the data directory, where erasing a person looks too
KEPT = timedelta(days=7)
_LOOKED_BACK = timedelta(days=400)  # for files that are still there: the daemon may have been off


async def stream(
    db: Database, clock: Clock, scope: Scope, choice: Choice, form: Format
) -> AsyncIterator[tuple[str, int]]:
    """The file in pieces, each with how many contacts are in it; for whoever waits for it."""
    now = clock.now()
    async with db.write(scope) as tx:
        scope.require(Grant.READ)
        people = await chosen.whom(tx, scope, choice)
        names = sorted(await attribute_kinds(tx, scope))
        await audit.record(tx, scope, "contact.export", "contact", None, now=now, format=form.value)
    yield formats.head(form, names), 0
    after = 0
    while True:
        async with db.read(scope) as read:
            rows = await chosen.next_page(read, scope, people, after=after, now=now)
        if not rows:
            return
        after = rows[-1].contact.id or 0
        yield await asyncio.to_thread(formats.page, form, rows, names), len(rows)


async def queue(tx: WriteTx, scope: Scope, choice: Choice, form: Format, *, clock: Clock) -> Job:
    """The job that makes the file for download; the daemon does it."""
    scope.require(Grant.READ)
    people = await chosen.whom(tx, scope, choice)
    held: dict[str, Any] = {
        "format": form.value,
        **people.as_dict(),
        "attributes": sorted(await attribute_kinds(tx, scope)),
        "after": 0,
        "bytes": 0,
    }
    now = clock.now()
    job = await jobs.create(tx, scope, kind=JobKind.EXPORT, title="export of contacts", now=now, result=held)
    await audit.record(tx, scope, "contact.export", "job", job.id, now=now, format=form.value)
    return job


async def pieces(
    db: Database, clock: Clock, data_dir: Path, scope: Scope, job_id: JobId
) -> AsyncGenerator[None]:
    """The work of a running job."""
    while True:
        async with db.read(scope) as tx:
            job = await jobs.get(tx, scope, job_id=job_id)
            held = dict(job.result)
            form = Format(held["format"])
            people = chosen.Whom.from_dict(held)
            rows = await chosen.next_page(tx, scope, people, after=held["after"], now=clock.now())
        text = "" if held["bytes"] else formats.head(form, held["attributes"])
        text += await asyncio.to_thread(formats.page, form, rows, held["attributes"])
        path = file_path(data_dir, job_id, form)
        held["bytes"] = await asyncio.to_thread(_append, path, text, held["bytes"])
        held["after"] = (rows[-1].contact.id or 0) if rows else held["after"]
        done = job.done + len(rows)
        async with db.write(scope) as write:
            await jobs.progress(write, scope, job_id=job_id, done=done, result=held)
            if len(rows) < chosen.PAGE:
                over = {**held, "filter": None, "contact_ids": None}  # a search may be somebody's address
                await jobs.finish(write, scope, job_id=job_id, now=clock.now(), result=over)
                return
        yield


async def download(
    tx: ReadTx, scope: Scope, *, job_id: JobId, data_dir: Path, clock: Clock
) -> tuple[Path, str]:
    """The file and its name; raises Conflict while it is made, NotFound when it expired."""
    scope.require(Grant.READ)
    job = await jobs.get(tx, scope, job_id=job_id)
    if job.kind != JobKind.EXPORT:
        raise InvalidInput(f"job {job_id} is no export")
    if job.state != JobState.DONE or job.finished_at is None:
        raise Conflict(f"export {job_id} is {job.state}; ask again when it is done")
    path = file_path(data_dir, job_id, Format(job.result["format"]))
    if clock.now() - job.finished_at > KEPT or not path.is_file():
        raise NotFound(f"the file of export {job_id} is gone; export again")
    return path, f"contacts-{job.finished_at:%Y-%m-%d}.{job.result['format']}"


async def expired(tx: ReadTx, _instance: InstanceScope, *, clock: Clock) -> list[int]:
    """The exports whose files are to go."""
    job = table_of(Job).c
    last = clock.now() - KEPT
    rows = await tx.scalars(
        sa.select(job.id).where(
            job.kind == JobKind.EXPORT, job.created_at < last, job.created_at > last - _LOOKED_BACK
        )
    )
    return list(rows.all())


def file_path(data_dir: Path, job_id: int, form: Format) -> Path:
    return data_dir / FOLDER / f"{job_id}-contacts.{form.value}"


def _append(path: Path, text: str, size_bytes: int) -> int:
    """Cut what a crash left behind the cursor, and go on; the file is for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if size_bytes and not path.exists():
        raise Unavailable(f"{path} is gone; export again")
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        file.truncate(size_bytes)
        file.seek(size_bytes)
        file.write(text.encode())
        return file.tell()
