"""Two who write and one who indexes, at the same time on PostgreSQL: no change is missed, nothing comes back."""

import asyncio

import pytest
import sqlalchemy as sa

from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts
from mailengine.domain.contacts.search.index import index_some, purge
from mailengine.domain.privacy.erase import erase
from support.house import INSTANCE, KEYRING, NOW

pytestmark = pytest.mark.anyio
ADDRESS = "anna@example.org"
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


async def add(db: Database, scope: Scope) -> None:
    async with db.write(scope) as tx:
        await contacts.add(tx, scope, contacts.check_contact(ADDRESS), now=NOW, hash_key=b"x")


async def hits(db: Database, scope: Scope, text: str) -> int:
    async with db.read(scope) as tx:
        return (await contacts.search(tx, scope, text=text, page=PageRequest())).total


async def test_a_change_under_way_is_not_dropped_from_the_queue(db: Database, scope: Scope) -> None:
    if not db.postgres:
        pytest.skip("SQLite has one writer at a time")
    await add(db, scope)
    async with db.write(scope) as tx:
        contact = await contacts.get_contact(tx, scope, address=ADDRESS)
        contact.last_name = "Quagga"
        await tx.flush()
        assert await index_some(db, INSTANCE) == 0, "its row of the queue is written by this transaction"
    assert await index_some(db, INSTANCE) == 1
    assert await hits(db, scope, "quagga") == 1


async def test_a_change_waits_for_the_indexing_that_began_before(db: Database, scope: Scope) -> None:
    if not db.postgres:
        pytest.skip("SQLite has one writer at a time")
    await add(db, scope)

    async def change() -> None:
        async with db.write(scope) as tx:
            contact = await contacts.get_contact(tx, scope, address=ADDRESS)
            contact.last_name = "Quagga"

    async with db.write(INSTANCE) as tx:
        await tx.execute(sa.text("SELECT 1 FROM search_queue FOR UPDATE"))
        changing = asyncio.create_task(change())
        while not await tx.scalar(sa.text(WAITING)):
            await tx.execute(sa.text("SELECT pg_stat_clear_snapshot()"))  # else it is as it was at first
            await asyncio.sleep(0.01)
        await tx.execute(sa.text("DELETE FROM search_queue"))
    await changing
    assert await index_some(db, INSTANCE) == 1
    assert await hits(db, scope, "quagga") == 1


async def test_erasing_and_indexing_at_once_leaves_nothing(db: Database, scope: Scope) -> None:
    for _ in range(3):
        await add(db, scope)

        async def forget() -> None:
            async with db.write(scope) as tx:
                await erase(tx, scope, address=ADDRESS, hash_key=KEYRING.derive("y"), now=NOW)

        await asyncio.gather(index_some(db, INSTANCE), forget())
        while await index_some(db, INSTANCE):
            pass
        await purge(db, INSTANCE)
        async with db.read(INSTANCE) as tx:
            assert await tx.scalar(sa.text("SELECT count(*) FROM contact_search")) == 0
            assert await tx.scalar(sa.text("SELECT count(*) FROM search_queue")) == 0
