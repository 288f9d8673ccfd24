"""Prepared statements take part in their transaction as the session's statements do."""

from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mailengine.core.clock import SystemClock
from mailengine.core.errors import Unavailable
from mailengine.core.scope import InstanceScope
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.models import KillSwitch
from support.connections import end, server_of
from support.house import open_database

pytestmark = pytest.mark.anyio
ME = InstanceScope("test")
SWITCHES = table_of(KillSwitch)
KEYS = Prepared(
    sa.select(SWITCHES.c.key).where(SWITCHES.c.key >= sa.bindparam("least")).order_by(SWITCHES.c.key)
)
ADD = Prepared(
    sa.insert(SWITCHES).values(
        key=sa.bindparam("number"), reason="", set_by="test", set_at=sa.bindparam("moment")
    )
)


async def _keys(db: Database) -> list[int]:
    async with db.read(ME) as tx:
        return [row[0] for row in await KEYS.rows(tx, {"least": 1})]


async def _add(db: Database, number: int, now: datetime, *, then: type[Exception] | None = None) -> None:
    async with db.write(ME) as tx:
        await ADD.rows(tx, {"number": number, "moment": now})
        if then is not None:
            raise then


async def test_they_begin_commit_and_roll_back_with_the_transaction(db: Database) -> None:
    now = SystemClock().now()
    async with db.write(ME) as tx:
        assert list(await ADD.rows(tx, {"number": 7, "moment": now})) == []
        tx.add(KillSwitch(key=8, reason="", set_by="test", set_at=now))
        assert [row[0] for row in await KEYS.rows(tx, {"least": 1})] == [7, 8]  # what waits is written first
    with pytest.raises(ZeroDivisionError):
        await _add(db, 9, now, then=ZeroDivisionError)
    assert await _keys(db) == [7, 8]


async def test_their_errors_are_those_of_the_session(db: Database) -> None:
    now = SystemClock().now()
    await _add(db, 7, now)
    with pytest.raises(IntegrityError):
        await _add(db, 7, now)
    assert await _keys(db) == [7]


async def test_values_are_those_of_their_types(db: Database) -> None:
    now = SystemClock().now()
    await _add(db, 7, now)
    async with db.read(ME) as tx:
        assert await Prepared(sa.select(SWITCHES.c.set_at)).value(tx, {}) == now


async def test_a_connection_that_breaks_is_a_database_that_does_not_answer(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as db:
        with pytest.raises(Unavailable):
            await _ask_nobody(db, postgres_dsn)
        assert await _keys(db) == []


async def _ask_nobody(db: Database, url: str) -> None:
    async with db.read(ME) as tx:
        await end(url, await server_of(tx))
        await KEYS.rows(tx, {"least": 1})


async def test_a_reader_cannot_write(db: Database) -> None:
    if db.postgres:
        pytest.skip("one pool serves both on PostgreSQL")
    with pytest.raises(Unavailable, match="read-only"):
        async with db.read(ME) as tx:
            await ADD.rows(tx, {"number": 7, "moment": SystemClock().now()})
