"""The whole data of a tenant as a ZIP (P16-01): asked for, made by the daemon as a job, there for a week.

One file of JSON Lines a table, read in pages by primary key, so that memory stays flat; secrets are left out, for the
file leaves the installation. A job that was cut off begins anew: half a ZIP cannot be gone on with.
"""

import asyncio
import json
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.clock import Clock
from mailengine.core.errors import NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.tenancy import owned, owned_tables, table_of, tenant_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.domain.jobs import jobs
from mailengine.domain.privacy.files import EXPORTS
from mailengine.models import Job, JobKind, JobState, Membership, Role, Tenant, User, metadata

KEPT = timedelta(days=7)
_PAGE = 2000
_OPEN = (JobState.QUEUED, JobState.RUNNING)
# What runs the installation, and is of no use to anybody elsewhere.
_LEFT_OUT = frozenset({"buckets", "web_sessions", "reputations", "warm_ups"})
_SECRET = ("_sealed", "_hash", "_token")
_README = """The data of {name}, exported on {now:%Y-%m-%d %H:%M} UTC.

Each file holds one table as JSON Lines: one object a line, with the table's columns. Passwords, keys and tokens are
left out. Moments are ISO 8601 in UTC; ids connect the tables (contacts.id is contact_id elsewhere).
"""


async def request(tx: WriteTx, scope: Scope, *, now: datetime) -> Job:
    """The job that will make the file: a new one, or the one that is under way."""
    scope.require(Grant.MANAGE)
    under_way = await tx.scalar(
        owned(Job, scope).where(col(Job.kind) == JobKind.TENANT_EXPORT, col(Job.state).in_(_OPEN)).limit(1)
    )
    if under_way is not None:
        return under_way
    job = await jobs.create(
        tx,
        scope,
        kind=JobKind.TENANT_EXPORT,
        title="all data of the organisation",
        now=now,
        result={"asked_by": scope.actor},
    )
    await audit.record(tx, scope, "tenant.export", "job", job.id, now=now)
    return job


async def find(tx: ReadTx, scope: Scope, *, job_id: int) -> Job:
    """Raises NotFound for what is no export of this tenant."""
    scope.require(Grant.MANAGE)
    job = await jobs.get(tx, scope, job_id=JobId(job_id))
    if job.kind != JobKind.TENANT_EXPORT:
        raise NotFound(f"there is no export {job_id}")
    return job


def file_of(data_dir: Path, job: Job, *, now: datetime) -> Path:
    """The finished ZIP; raises NotFound where there is none, or none any more."""
    name = job.result.get("file")
    if job.state != JobState.DONE or not name:
        raise NotFound(f"export {job.id} has no file; it is {job.state}")
    path = data_dir / EXPORTS / str(name)
    if job.finished_at is None or now - job.finished_at > KEPT or not path.is_file():
        raise NotFound(
            f"the file of export {job.id} is gone: it is kept for {KEPT.days} days; ask for a new one"
        )
    return path


async def make(
    db: Database, clock: Clock, scope: Scope, job_id: JobId, *, data_dir: Path, base_url: str
) -> AsyncGenerator[None]:
    """The work of the job, a page a piece."""
    folder = data_dir / EXPORTS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft, name = folder / f"{job_id}-draft", f"{job_id}-all-data.zip"
    rows: dict[str, int] = {}
    try:
        draft.touch(mode=0o600)
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            await _about(db, scope, archive, clock.now())
            for table in _tables():
                rows[table.name] = 0
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as out:
                    async for page in _pages(db, scope, table):
                        await asyncio.to_thread(out.write, page[0])
                        rows[table.name] += page[1]
                        async with db.write(scope) as tx:
                            await jobs.progress(tx, scope, job_id=job_id, done=sum(rows.values()))
                        yield
        draft.replace(folder / name)
    finally:
        draft.unlink(missing_ok=True)
    size = (folder / name).stat().st_size
    await _finish(db, scope, job_id, clock.now(), base_url, {"file": name, "bytes": size, "rows": rows})


async def drop_expired(db: Database, instance: InstanceScope, *, data_dir: Path, now: datetime) -> int:
    """Delete the files of exports that were there long enough; returns how many."""
    async with db.read(instance) as tx:
        old = await tx.scalars(
            sa.select(Job).where(
                col(Job.state) == JobState.DONE,
                col(Job.kind) == JobKind.TENANT_EXPORT,
                col(Job.finished_at) < now - KEPT,
            )
        )
        paths = [data_dir / EXPORTS / str(job.result["file"]) for job in old if job.result.get("file")]
    there = [path for path in paths if path.is_file()]
    for path in there:
        path.unlink(missing_ok=True)
    return len(there)


def _tables() -> list[sa.Table]:
    return [table for table in owned_tables(metadata) if table.name not in _LEFT_OUT]


async def _about(db: Database, scope: Scope, archive: zipfile.ZipFile, now: datetime) -> None:
    async with db.read(scope) as tx:
        tenant = await tx.get(Tenant, scope.tenant_id)
        users = await tx.execute(
            sa.select(col(User.id), col(User.email), col(Membership.role))
            .join(Membership, col(Membership.user_id) == col(User.id))
            .where(tenant_of(Membership) == scope.tenant_id)
        )
        people = [dict(row._mapping) for row in users]
    assert tenant is not None
    archive.writestr("README.txt", _README.format(name=tenant.name, now=now))
    archive.writestr("organisation.json", _line(tenant.model_dump()))
    archive.writestr("users.jsonl", "".join(map(_line, people)))


async def _pages(db: Database, scope: Scope, table: sa.Table) -> AsyncGenerator[tuple[bytes, int]]:
    shown = [column for column in table.columns if not column.name.endswith(_SECRET)]
    key = list(table.primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        query = sa.select(*shown).where(table.c.tenant_id == scope.tenant_id).order_by(*key).limit(_PAGE)
        if last is not None:
            query = query.where(sa.tuple_(*key) > sa.tuple_(*last))
        async with db.read(scope) as tx:
            found = (await tx.execute(query)).all()
        if not found:
            return
        last = tuple(getattr(found[-1], column.name) for column in key)
        yield await asyncio.to_thread(_lines, found), len(found)


def _lines(rows: Sequence[sa.Row[Any]]) -> bytes:
    return "".join(_line(dict(row._mapping)) for row in rows).encode()


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _finish(
    db: Database, scope: Scope, job_id: JobId, now: datetime, base_url: str, result: dict[str, Any]
) -> None:
    async with db.write(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
        asked_by = str(job.result.get("asked_by", ""))
        expires = now + KEPT
        told = {**result, "asked_by": asked_by, "expires_at": expires.isoformat()}
        await jobs.finish(tx, scope, job_id=job_id, now=now, result=told)
        for address in await _readers(tx, scope, asked_by):
            message = OutgoingMessage(
                to=address,
                subject="Your export is ready",
                text=(
                    f"The export of all data (job {job_id}) is ready. It can be downloaded until "
                    f"{expires:%Y-%m-%d %H:%M} UTC:\n\n{base_url}/api/v1/tenant-exports/{job_id}/file\n"
                ),
                kind="export-ready",
                idempotency_key=f"export-{job_id}",
            )
            with suppress(Refused):  # nobody to send it as: the job shows it all the same
                await queue_message(tx, scope, message, now=now)


async def _readers(tx: ReadTx, scope: Scope, asked_by: str) -> list[str]:
    """Whoever asked; for the command line or a key, the first owner."""
    members = (
        sa.select(table_of(User).c.email)
        .join(Membership, col(Membership.user_id) == table_of(User).c.id)
        .where(tenant_of(Membership) == scope.tenant_id)
        .order_by(table_of(User).c.id)
        .limit(1)
    )
    kind, _, number = asked_by.partition(":")
    if kind == "user" and number.isdigit():
        members = members.where(table_of(User).c.id == int(number))
    else:
        members = members.where(col(Membership.role) == Role.OWNER)
    return list(await tx.scalars(members))
