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


async def test_a_reader_cannot_write(db: Database) -> None:
    if db.postgres:
        pytest.skip("one pool serves both on PostgreSQL")
    with pytest.raises(Unavailable, match="read-only"):
        async with db.read(ME) as tx:
            await ADD.rows(tx, {"number": 7, "moment": SystemClock().now()})
