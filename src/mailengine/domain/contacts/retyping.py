"""Making an attribute another kind: every value is read as that kind, a page of contacts in each transaction.

Invariant: the kind changes last, and a value that has been read anew reads the same again, so that one who was killed
in the middle is run once more. What cannot be read stops it before anything is changed, or is dropped as asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.core.wording import counted
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.attribute_values import Value, parse, text_of
from mailengine.domain.jobs import jobs
from mailengine.models import Attribute, AttributeKind, Contact, Job, JobKind, JobState

PAGE = 2_000  # contacts a transaction
CHANGES = (JobKind.RETYPE, JobKind.RENAME_ATTRIBUTE, JobKind.REMOVE_ATTRIBUTE)
_AT_FIRST = {"cursor": 0, "changed": 0, "unreadable": 0}
_SHOWN = 5  # values that cannot be read, as examples


@dataclass(slots=True)
class Retyped:
    """How many values change, and how many cannot be read as the new kind."""

    changed: int = 0
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)


async def rehearse(db: Database, scope: Scope, *, name: str, kind: AttributeKind) -> Retyped:
    """What `retype` would do; raises NotFound for an attribute that nobody has."""
    scope.require(Grant.EDIT)
    async with db.read(scope) as tx:
        await get_attribute(tx, scope, name=name)
    found, last = Retyped(), 0
    while True:
        async with db.read(scope) as tx:
            seen = await _look_at_page(tx, scope, name, kind, last, found)
        if not seen:
            return found
        last = seen[-1]


async def retype(
    db: Database,
    scope: Scope,
    *,
    name: str,
    kind: AttributeKind,
    drop: bool,
    now: datetime,
    progress: Callable[[Retyped], None] = lambda _done: None,
) -> Retyped:
    """Raises Refused when a value cannot be read, unless `drop`; `progress` is told what was done so far."""
    planned = await rehearse(db, scope, name=name, kind=kind)
    _check_readable(name, kind, planned, drop=drop)
    done, last = Retyped(), 0
    while True:
        async with db.write(scope) as tx:
            seen = await _change_page(tx, scope, name, kind, last, done, now)
            if not seen:
                await _become(tx, scope, name, kind, done, now)
                return done
            last = seen[-1]
        progress(done)


async def request_retype(
    tx: WriteTx, scope: Scope, *, name: str, kind: AttributeKind, drop: bool, now: datetime
) -> Job:
    """The same as a queued job, which fails before anything is changed where a value cannot be read, unless `drop`;
    raises NotFound for an attribute that nobody has, Conflict while another job is at it: of two at once, each would
    undo pages of the other."""
    scope.require(Grant.EDIT)
    await get_attribute(tx, scope, name=name, lock=True)
    await check_alone(tx, scope, name)
    contacts = await tx.scalar(
        sa.select(sa.func.count()).select_from(Contact).where(tenant_of(Contact) == scope.tenant_id)
    )
    job = await jobs.create(
        tx,
        scope,
        kind=JobKind.RETYPE,
        title=f"{name} as {kind.value}",
        now=now,
        total=2 * (contacts or 0),  # all are looked at before the first is changed
        result={"name": name, "to": kind.value, "drop": drop, "looked": False, **_AT_FIRST},
    )
    await audit.record(tx, scope, "attribute.retype", "job", job.id, now=now, kind=kind.value, drop=drop)
    return job


async def check_alone(tx: ReadTx, scope: Scope, *names: str) -> None:
    """Raises Conflict while a job changes one of the attributes."""
    open_jobs = owned(Job, scope).where(
        col(Job.kind).in_(CHANGES), col(Job.state).in_((JobState.QUEUED, JobState.RUNNING))
    )
    for job in await tx.scalars(open_jobs):
        taken = {job.result["name"]}
        if job.kind != JobKind.RETYPE:  # whose "to" is a kind
            taken.add(job.result["to"])
        for name in names:
            if name in taken:
                raise Conflict(f"job {job.id} changes {name} already; let it end or cancel it")


async def retype_page(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> bool:
    """Do one page and move the job; False when that was the end. Raises Refused, which is the job's."""
    job = await jobs.locked(tx, scope, job_id=job_id)
    if job.state != JobState.RUNNING:
        return False  # cancelled, or another process did the rest
    held, done = job.result, Retyped(job.result["changed"], job.result["unreadable"])
    name, kind, last = held["name"], AttributeKind(held["to"]), held["cursor"]
    if held["looked"]:
        seen = await _change_page(tx, scope, name, kind, last, done, now)
    else:
        seen = await _look_at_page(tx, scope, name, kind, last, done)
    if not seen and held["looked"]:
        await _become(tx, scope, name, kind, done, now)
        await jobs.finish(tx, scope, job_id=job_id, now=now, result=held)
        return False
    moved = {
        **held,
        "changed": done.changed if held["looked"] else 0,  # nothing is, while it looks
        "unreadable": done.unreadable,
        "cursor": seen[-1] if seen else 0,
    }
    if not seen:
        _check_readable(name, kind, done, drop=held["drop"])
        moved |= {"looked": True, **_AT_FIRST}
    await jobs.progress(tx, scope, job_id=job_id, done=job.done + len(seen), result=moved)
    return True


async def _look_at_page(
    tx: ReadTx, scope: Scope, name: str, kind: AttributeKind, last: int, found: Retyped
) -> list[int]:
    """Count what a page's values would become; its contacts."""
    rows = await _page(tx, scope, last, lock=False)
    for row in rows:
        _read_anew(row.attributes, name, kind, found)
    return [row.id for row in rows]


async def _change_page(
    tx: WriteTx, scope: Scope, name: str, kind: AttributeKind, last: int, done: Retyped, now: datetime
) -> list[int]:
    """Read a page's values anew; its contacts."""
    table = table_of(Contact)
    rows = await _page(tx, scope, last, lock=True)
    anew = [(row.id, _read_anew(row.attributes, name, kind, done)) for row in rows]
    values = [{"at": at, "attributes": held, "updated_at": now} for at, held in anew if held is not None]
    if values:
        of_row = sa.and_(table.c.tenant_id == scope.tenant_id, table.c.id == sa.bindparam("at"))
        await tx.execute(sa.update(table).where(of_row), values)
    return [row.id for row in rows]


async def _become(
    tx: WriteTx, scope: Scope, name: str, kind: AttributeKind, done: Retyped, now: datetime
) -> None:
    """The end: every value is of the kind."""
    found = await get_attribute(tx, scope, name=name)
    was, found.kind = found.kind, kind
    counts = {"changed": done.changed, "dropped": done.unreadable}
    await audit.record(
        tx, scope, "attribute.retype", "attribute", None, now=now, was=was, kind=kind, **counts
    )


def _check_readable(name: str, kind: AttributeKind, found: Retyped, *, drop: bool) -> None:
    """Raises Refused. Without examples where nobody but the job is told: they are somebody's data."""
    if found.unreadable and not drop:
        examples = f" ({', '.join(found.examples)})" if found.examples else ""
        raise Refused(
            f"{counted(found.unreadable, 'value', 'values')} of {name} cannot be read as {kind.value}{examples}; "
            "change them first, or drop them (--drop)"
        )


async def get_attribute(tx: ReadTx, scope: Scope, *, name: str, lock: bool = False) -> Attribute:
    """Raises NotFound, also for another tenant's."""
    query = owned(Attribute, scope).where(col(Attribute.name) == name)
    found = await tx.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(f"there is no attribute {name}; `mailengine attributes list` shows those there are")
    return found


async def _page(tx: ReadTx, scope: Scope, after: int, *, lock: bool) -> Any:
    contacts = table_of(Contact).c
    query = (
        sa.select(contacts.id, contacts.attributes)
        .where(contacts.tenant_id == scope.tenant_id, contacts.id > after)
        .order_by(contacts.id)
        .limit(PAGE)
    )
    return (await tx.execute(query.with_for_update() if lock else query)).all()


def _read_anew(
    held: Mapping[str, Any], name: str, kind: AttributeKind, counted: Retyped
) -> dict[str, Any] | None:
    """The attributes with the value as the kind has it, or without it; None where nothing changes."""
    if name not in held:
        return None
    text = text_of(held[name])
    try:
        value: Value = parse(kind, text)
    except ValueError:
        counted.unreadable += 1
        if len(counted.examples) < _SHOWN:
            counted.examples.append(repr(text[:40]))
        return {key: value for key, value in held.items() if key != name}
    if value == held[name] and type(value) is type(held[name]):
        return None
    counted.changed += 1
    return {**held, name: value}
