"""A machine that vanishes in the middle of a transaction must not keep the others from their work."""

import pytest
import sqlalchemy as sa

from mailengine.core.errors import Unavailable
from mailengine.db.unit import Database
from support.house import INSTANCE, open_database

pytestmark = pytest.mark.anyio


async def test_an_idle_transaction_has_a_limit(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as db, db.write(INSTANCE) as tx:
        assert await tx.scalar(sa.text("SHOW idle_in_transaction_session_timeout")) == "30s"


async def test_its_locks_are_given_up_and_it_hears_of_it(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as db:
        with pytest.raises(Unavailable):
            await _vanish_with_a_lock(db)


async def _vanish_with_a_lock(db: Database) -> None:
    lock = sa.text("LOCK TABLE tenants")
    async with db.write(INSTANCE) as vanished:
        await vanished.execute(lock)
        await vanished.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
        async with db.write(INSTANCE) as tx:  # waits for the lock until the other is thrown out
            await tx.execute(lock)
        await vanished.execute(sa.text("SELECT 1"))
