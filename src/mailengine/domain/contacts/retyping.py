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

from mailengine.core.errors import NotFound, Refused
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.attribute_values import Value, parse, text_of
from mailengine.models import Attribute, AttributeKind, Contact

PAGE = 2_000  # contacts a transaction
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
    found = Retyped()
    last: int | None = 0
    while last is not None:
        async with db.read(scope) as tx:
            rows = await _page(tx, scope, last, lock=False)
        for row in rows:
            _read_anew(row.attributes, name, kind, found)
        last = rows[-1].id if rows else None
    return found


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
    if planned.unreadable and not drop:
        raise Refused(
            f"{planned.unreadable:,} values of {name} are no {kind.value} ({', '.join(planned.examples)}); "
            "change them first, or drop them with --drop"
        )
    done, last = Retyped(), 0
    table = table_of(Contact)
    update = sa.update(table).where(table.c.tenant_id == scope.tenant_id, table.c.id == sa.bindparam("at"))
    while True:
        async with db.write(scope) as tx:
            rows = await _page(tx, scope, last, lock=True)
            anew = [(row.id, _read_anew(row.attributes, name, kind, done)) for row in rows]
            values = [
                {"at": at, "attributes": held, "updated_at": now} for at, held in anew if held is not None
            ]
            if values:
                await tx.execute(update, values)
            if not rows:
                found = await get_attribute(tx, scope, name=name)
                was, found.kind = found.kind, kind
                counts = {"changed": done.changed, "dropped": done.unreadable}
                await audit.record(
                    tx, scope, "attribute.retype", "attribute", None, now=now, was=was, kind=kind, **counts
                )
                return done
            last = rows[-1].id
        progress(done)


async def get_attribute(tx: ReadTx, scope: Scope, *, name: str) -> Attribute:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(owned(Attribute, scope).where(col(Attribute.name) == name))
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
