"""What records are called, for pages that know them by kind and number: the audit log, dead letters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import SQLModel

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import Campaign, ContactList, Segment, SignupForm, Tag, Template

# By what the audit log calls them.
_NAMED: Mapping[str, type[SQLModel]] = {
    "campaign": Campaign,
    "form": SignupForm,
    "list": ContactList,
    "segment": Segment,
    "tag": Tag,
    "template": Template,
}


@dataclass(frozen=True, slots=True)
class RecordName:
    """`there`: it was not deleted, so that it has a page."""

    name: str
    there: bool


async def names_of(
    tx: ReadTx, scope: Scope, records: Iterable[tuple[str, int | None]]
) -> dict[tuple[str, int], RecordName]:
    """Of kinds and numbers those that have a name; not one that is gone for good, or never was the tenant's."""
    wanted = set(records)
    found: dict[tuple[str, int], RecordName] = {}
    for kind, model in _NAMED.items():
        ids = sorted(number for of, number in wanted if of == kind and number is not None)
        if not ids:
            continue
        table = table_of(model).c
        gone = table.deleted_at.is_not(None) if "deleted_at" in table else sa.false()
        rows = await tx.execute(
            sa.select(table.id, table.name, gone.label("gone")).where(
                table.tenant_id == scope.tenant_id, table.id.in_(ids)
            )
        )
        found |= {(kind, row.id): RecordName(row.name, not row.gone) for row in rows}
    return found
