"""Another name for an attribute, and one that goes: with its values, a page of contacts in each transaction.

It stands above the contacts because templates and campaigns refer to attributes by their names. What refers to one
keeps it as it is, and is named. Invariant: the attribute goes last, after all its values, so that a change that was
killed or cancelled in the middle is asked for once more.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.attribute_uses import uses
from mailengine.domain.campaigns.uses import check_unused
from mailengine.domain.contacts.attributes import check_attribute, register
from mailengine.domain.contacts.retyping import check_alone, get_attribute
from mailengine.domain.contacts.segments.json_values import JsonValue
from mailengine.domain.jobs import jobs
from mailengine.models import Attribute, AttributeKind, Contact, Job, JobKind, JobState

PAGE = 2_000  # contacts a transaction


@dataclass(frozen=True, slots=True)
class Change:
    """`to` is the new name, empty for an attribute that goes."""

    name: str
    to: str = ""

    @property
    def verb(self) -> str:
        return "rename" if self.to else "remove"


async def holders(tx: ReadTx, scope: Scope, *, name: str, among: int | None = None) -> tuple[int, bool]:
    """How many contacts have a value, those that were deleted too, and whether all were looked at: `among` is how
    many, because each one's values are read for it."""
    held = sa.not_(JsonValue(col(Contact.attributes), name, postgres=tx.postgres).empty())
    looked_at = sa.select(held.label("held")).where(tenant_of(Contact) == scope.tenant_id)
    if among is not None:
        looked_at = looked_at.order_by(col(Contact.id)).limit(among)
    rows = looked_at.subquery()
    query = sa.select(sa.func.count(), sa.func.sum(sa.case((rows.c.held, 1), else_=0))).select_from(rows)
    seen, found = (await tx.execute(query)).one()
    return int(found or 0), among is None or seen < among


async def request(tx: WriteTx, scope: Scope, change: Change, *, now: datetime) -> Job:
    """As a queued job. Raises NotFound for an attribute that nobody has, InvalidInput for a name that cannot be,
    Refused while something refers to it, Conflict while another job is at it, or where the new name is that of an
    attribute of another kind; with one of the same kind it becomes one."""
    await _prepare(tx, scope, change)
    everybody = sa.select(sa.func.count()).select_from(Contact)
    job = await jobs.create(
        tx,
        scope,
        kind=JobKind.RENAME_ATTRIBUTE if change.to else JobKind.REMOVE_ATTRIBUTE,
        title=f"{change.name} becomes {change.to}" if change.to else f"{change.name} goes",
        now=now,
        total=await tx.scalar(everybody.where(tenant_of(Contact) == scope.tenant_id)) or 0,
        result={"name": change.name, "to": change.to, "cursor": 0, "changed": 0},
    )
    await audit.record(tx, scope, f"attribute.{change.verb}", "job", job.id, now=now)
    return job


async def change_page(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> bool:
    """Do one page and move the job; False when that was the end. Raises Refused, which is the job's."""
    job = await jobs.locked(tx, scope, job_id=job_id)
    if job.state != JobState.RUNNING:
        return False  # cancelled, or another process did the rest
    held = job.result
    change = Change(held["name"], held["to"])
    seen, changed = await _do_page(tx, scope, change, held["cursor"], now)
    moved = {**held, "changed": held["changed"] + changed, "cursor": seen[-1] if seen else held["cursor"]}
    if not seen:
        await _forget(tx, scope, change, held["changed"], now)
        await jobs.finish(tx, scope, job_id=job_id, now=now, result=moved)
        return False
    await jobs.progress(tx, scope, job_id=job_id, done=job.done + len(seen), result=moved)
    return True


async def do_at_once(
    db: Database,
    scope: Scope,
    change: Change,
    *,
    now: datetime,
    progress: Callable[[int], None] = lambda _n: None,
) -> int:
    """The same without a job; how many contacts it changed something of, which `progress` is told of meanwhile."""
    async with db.write(scope) as tx:
        await _prepare(tx, scope, change)
    last = total = 0
    while True:
        async with db.write(scope) as tx:
            seen, changed = await _do_page(tx, scope, change, last, now)
            if not seen:
                await _forget(tx, scope, change, total, now)
                return total
        last, total = seen[-1], total + changed
        progress(total)


async def _prepare(tx: WriteTx, scope: Scope, change: Change) -> None:
    """Raises what `request` raises; the new name is known from here on."""
    scope.require(Grant.EDIT)
    found = await get_attribute(tx, scope, name=change.name, lock=True)
    check_unused(change.name, await uses(tx, scope, name=change.name))
    await check_alone(tx, scope, change.name, change.to or change.name)
    if not change.to:
        return
    if check_attribute(change.to) == change.name:
        raise InvalidInput(f"{change.name} is called so already")
    kind = AttributeKind(found.kind)
    other = await tx.scalar(owned(Attribute, scope).where(col(Attribute.name) == change.to))
    if other is not None and other.kind != kind:
        raise Conflict(f"{change.to} is a {other.kind}, {change.name} a {kind.value}; change the kind of one")
    await register(tx, scope, {change.to: found.label}, kinds={change.to: kind})


async def _do_page(
    tx: WriteTx, scope: Scope, change: Change, after: int, now: datetime
) -> tuple[list[int], int]:
    """The contacts of the page, and of how many something changed."""
    table = table_of(Contact)
    page = (
        sa.select(table.c.id, table.c.attributes)
        .where(table.c.tenant_id == scope.tenant_id, table.c.id > after)
        .order_by(table.c.id)
        .limit(PAGE)
        .with_for_update()
    )
    rows = (await tx.execute(page)).all()
    anew = _changed(((row.id, row.attributes) for row in rows), change, now)
    if anew:
        of_row = sa.and_(table.c.tenant_id == scope.tenant_id, table.c.id == sa.bindparam("at"))
        await tx.execute(sa.update(table).where(of_row), anew)
    return [row.id for row in rows], len(anew)


def _changed(
    rows: Iterable[tuple[int, dict[str, Any]]], change: Change, now: datetime
) -> list[dict[str, Any]]:
    """What is written of those that have a value; raises Refused for one that would take another's place."""
    anew = []
    for at, held in rows:
        if change.name not in held:
            continue
        value = held[change.name]
        left = {name: kept for name, kept in held.items() if name != change.name}
        if change.to and left.setdefault(change.to, value) != value:
            raise Refused(f"contact {at} has another value under {change.to}; empty one of the two")
        anew.append({"at": at, "attributes": left, "updated_at": now})
    return anew


async def _forget(tx: WriteTx, scope: Scope, change: Change, changed: int, now: datetime) -> None:
    """The end: no contact has a value under the name."""
    found = await get_attribute(tx, scope, name=change.name, lock=True)
    check_unused(change.name, await uses(tx, scope, name=change.name))
    await tx.delete(found)
    await audit.record(tx, scope, f"attribute.{change.verb}", "attribute", None, now=now, count=changed)
