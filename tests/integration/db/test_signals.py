"""What a transaction signals is told once it has committed, and only then."""

from collections.abc import Set

import pytest

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import NotFound
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, find_tenant
from support.house import NOW

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope("test")


async def test_a_signal_follows_its_commit(database_url: str) -> None:
    told: list[Set[str]] = []

    async def listen(signals: Set[str]) -> None:
        async with db.read(INSTANCE) as tx:
            await find_tenant(tx, INSTANCE, slug="acme")  # it is committed: others see it
        told.append(signals)

    async def write(*, undone: bool) -> None:
        async with db.write(INSTANCE) as tx:
            tx.signal("a tenant")
            tx.signal("a tenant")
            await create_tenant(tx, INSTANCE, name="Acme", country="DE", postal_address="Street 1", now=NOW)
            if undone:
                raise NotFound("undone")

    db = Database(database_url, DatabaseSettings(), on_commit=listen)
    try:
        with pytest.raises(NotFound):
            await write(undone=True)
        assert told == []
        await write(undone=False)
        assert told == [{"a tenant"}]
        async with db.write(INSTANCE) as tx:
            await find_tenant(tx, INSTANCE, slug="acme")
        assert len(told) == 1
    finally:
        await db.close()
