"""What must survive a power cut waits for the disk; the rest need not."""

import pytest
import sqlalchemy as sa

from mailengine.db.unit import Database
from support.house import INSTANCE, open_database

pytestmark = pytest.mark.anyio
NORMAL, FULL = 1, 2


async def _synchronous(db: Database, **options: bool) -> object:
    async with db.write(INSTANCE, **options) as tx:
        return await tx.scalar(sa.text("PRAGMA synchronous"))


async def test_a_durable_transaction_and_those_around_it(sqlite_dsn: str) -> None:
    async with open_database(sqlite_dsn) as db:
        levels = [await _synchronous(db, durable=durable) for durable in (False, True, True, False)]
        assert levels == [NORMAL, FULL, FULL, NORMAL]
        assert await _synchronous(db) == NORMAL
