"""The guarded database, two tenants in it, and imports of files that a test writes."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailengine.core.clock import ManualClock
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.models import Contact, ListMember
from support.fixtures import db, other, scope
from support.house import KEYRING, NOW

__all__ = ["db", "other", "scope"]

HASH_KEY = KEYRING.derive(HASH_PURPOSE)


@pytest.fixture
def around(db: Database, tmp_path: Path) -> Surroundings:
    return Surroundings(db=db, clock=ManualClock(NOW), data_dir=tmp_path, hash_key=HASH_KEY)


@pytest.fixture
def importing(around: Surroundings, scope: Scope, tmp_path: Path) -> Callable[..., Awaitable[ImportReport]]:
    """`await importing("email\\na@example.org\\n", on_duplicate=…)`; text is written as UTF-8."""
    numbers = iter(range(1000))

    async def run(content: str | bytes, **options: Any) -> ImportReport:
        path = tmp_path / f"file-{next(numbers)}.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        who = options.pop("scope", scope)
        return await import_file(around, who, ImportRequest(path, **{"list_name": "Customers", **options}))

    return run


@pytest.fixture
def stored(db: Database) -> Callable[[Scope], Awaitable[dict[str, Contact]]]:
    """The tenant's contacts by address, deleted ones too."""

    async def read(scope: Scope) -> dict[str, Contact]:
        async with db.read(scope) as tx:
            return {row.email: row for row in await tx.scalars(owned(Contact, scope))}

    return read


@pytest.fixture
def membership(db: Database) -> Callable[[Scope], Awaitable[dict[int, str]]]:
    """Contact id → state on the tenant's lists."""

    async def read(scope: Scope) -> dict[int, str]:
        async with db.read(scope) as tx:
            members = await tx.scalars(sa.select(ListMember).where(ListMember.tenant_id == scope.tenant_id))
            return {row.contact_id: row.state for row in members}

    return read
