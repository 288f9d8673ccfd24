"""All that is held of one person, for whoever asks to see it (GDPR Art. 15 and 20): read from the same declaration
that erasing follows, so that what is forgotten and what is shown are the same."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel, col

from mailengine.core.errors import NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.privacy.holdings import People, holdings
from mailengine.mail.address import parse_address
from mailengine.models import Campaign, Contact, ContactList, Tag

_OURS = frozenset({"tenant_id", "email_key", "claim_token", "locked_by", "lease_until"})
# An id that stands for a name which the person would know.
_NAMED: dict[str, type[SQLModel]] = {"campaign_id": Campaign, "list_id": ContactList, "tag_id": Tag}


async def collect(tx: ReadTx, scope: Scope, *, address: str) -> dict[str, Any]:
    """Rows by table, oldest first; raises NotFound when nothing is held of them."""
    scope.require(Grant.MANAGE)
    wanted = parse_address(address)
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.email_key) == wanted.key))
    ids = [] if contact is None or contact.id is None else [contact.id]
    people = People(ids, [wanted.key], {wanted.email} | ({contact.email} if contact else set()))
    held: dict[str, Any] = {}
    for holding in holdings():
        rows = await _rows(tx, holding.table, holding.theirs(scope, people))
        if rows:
            held[holding.table.name] = rows
    if not held:
        raise NotFound(f"there is no trace of {address}")
    await _name(tx, scope, held)
    return held


async def record_export(tx: WriteTx, scope: Scope, *, contact_id: int | None, now: datetime) -> None:
    """Somebody saw all that is held of a person."""
    await audit.record(tx, scope, "contact.export", "contact", contact_id, now=now)


async def _rows(tx: ReadTx, table: sa.Table, theirs: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    shown = [column for column in table.columns if column.name not in _OURS]
    order = list(table.primary_key.columns)
    rows = await tx.execute(sa.select(*shown).where(theirs).order_by(*order))
    return [dict(row._mapping) for row in rows]


async def _name(tx: ReadTx, scope: Scope, held: dict[str, Any]) -> None:
    """Put the name of a campaign, list or tag beside its id."""
    for column, model in _NAMED.items():
        rows = [row for rows in held.values() for row in rows if row.get(column) is not None]
        ids = {row[column] for row in rows}
        if not ids:
            continue
        table = table_of(model)
        names = await tx.execute(
            sa.select(table.c.id, table.c.name).where(
                tenant_of(model) == scope.tenant_id, table.c.id.in_(sorted(ids))
            )
        )
        known = {row.id: row.name for row in names}
        for row in rows:
            row[column.removesuffix("_id")] = known.get(row[column])
