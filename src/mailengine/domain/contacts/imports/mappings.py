"""Mappings that people saved under a name, for the file that comes every month."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.imports.mapping import MAX_COLUMNS, check_target
from mailengine.models import ImportMapping

_MAX_NAME = 200


def check_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise InvalidInput(f"a mapping's name must have 1 to {_MAX_NAME} characters")
    return name


async def save(
    tx: WriteTx, scope: Scope, *, name: str, mapping: Mapping[str, str], now: datetime
) -> ImportMapping:
    """In place of what the name had; raises InvalidInput for a target that cannot be."""
    scope.require(Grant.EDIT)
    name = check_name(name)
    if not mapping or len(mapping) > MAX_COLUMNS:
        raise InvalidInput(f"a mapping says something of 1 to {MAX_COLUMNS} columns")
    for header, target in mapping.items():
        check_target(target)
        if "\x00" in header:
            raise InvalidInput("a header cannot hold a NUL character")
    found = await _find(tx, scope, name)
    if found is None:
        found = ImportMapping(tenant_id=scope.tenant_id, name=name, mapping={}, updated_at=now)
        tx.add(found)
    found.mapping, found.updated_at = dict(mapping), now
    await tx.flush()
    await audit.record(tx, scope, "import-mapping.save", "import-mapping", None, now=now)
    return found


async def get(tx: ReadTx, scope: Scope, *, name: str) -> ImportMapping:
    """Raises NotFound, also for another tenant's."""
    found = await _find(tx, scope, check_name(name))
    if found is None:
        raise NotFound(f"there is no mapping called {name}; `mailengine mappings list` shows those there are")
    return found


async def list_mappings(tx: ReadTx, scope: Scope, *, page: PageRequest) -> Page[ImportMapping]:
    """By name."""
    return await keyset_page(tx, owned(ImportMapping, scope), col(ImportMapping.name), page)


async def delete(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> None:
    scope.require(Grant.EDIT)
    found = await get(tx, scope, name=name)
    await tx.execute(
        sa.delete(ImportMapping).where(
            tenant_of(ImportMapping) == scope.tenant_id, col(ImportMapping.name) == found.name
        )
    )
    await audit.record(tx, scope, "import-mapping.delete", "import-mapping", None, now=now)


async def _find(tx: ReadTx, scope: Scope, name: str) -> ImportMapping | None:
    return await tx.scalar(owned(ImportMapping, scope).where(col(ImportMapping.name) == name))
