"""Statements on SQLite are one trip to its thread, and leave behind what those of aiosqlite's own cursor do."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_ss_cursor,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from mailengine.db.engine import BULK, DURABLE, sqlite_engine

pytestmark = pytest.mark.anyio
NAMES = (
    (AsyncAdapt_aiosqlite_connection, "_cursor_cls"),
    (AsyncAdapt_aiosqlite_connection, "_ss_cursor_cls"),
    (AsyncAdapt_aiosqlite_cursor, "_make_new_cursor"),
    (AsyncAdapt_aiosqlite_ss_cursor, "_execute_async"),
    (aiosqlite.Connection, "_conn"),
    (aiosqlite.Connection, "_execute"),
    (AsyncAdapt_asyncpg_connection, "_connection"),
    (AsyncAdapt_asyncpg_connection, "_handle_exception"),
    (AsyncAdapt_asyncpg_connection, "_start_transaction"),
    (AsyncAdapt_asyncpg_connection, "_transaction"),
)
THINGS = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, unique=True),
)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = sqlite_engine(f"sqlite+aiosqlite:///{tmp_path}/t.db", write=True, busy_timeout_seconds=1)
    async with made.begin() as connection:
        await connection.run_sync(THINGS.metadata.create_all)
        await connection.execute(sa.insert(THINGS), [{"name": name} for name in "abc"])
    yield made
    await made.dispose()


async def test_what_it_takes_of_other_libraries_is_there() -> None:
    missing = [f"{owner.__name__}.{name}" for owner, name in NAMES if not hasattr(owner, name)]
    versions = f"SQLAlchemy {sa.__version__}, aiosqlite {aiosqlite.__version__}"
    assert not missing, (
        f"{versions} have no {', '.join(missing)}: db/one_trip.py and db/driver.py must be written anew for them"
    )


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    trips: list[Any] = []
    run = aiosqlite.Connection._execute

    async def counted(self: Any, function: Any, *args: Any, **options: Any) -> Any:
        trips.append(function)
        return await run(self, function, *args, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    return trips


async def test_a_statement_is_one_trip_and_an_end_another(engine: AsyncEngine, trips: list[Any]):
    for durable in (True, False):
        trips.clear()
        async with engine.connect() as plain:
            connection = await plain.execution_options(**{DURABLE: durable})
            async with connection.begin():
                names = (await connection.scalars(sa.select(THINGS.c.name).order_by(THINGS.c.name))).all()
                assert names == ["a", "b", "c"]
                assert len(trips) == 1
                level = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
                assert level == (2 if durable else 1)
        assert len(trips) == 3


async def test_the_log_may_grow_while_a_bulk_is_written_and_then_no_more(engine: AsyncEngine):
    for bulk, pages in ((True, 20_000), (False, 1_000), (True, 20_000)):
        async with engine.connect() as plain:
            connection = await plain.execution_options(**{BULK: bulk})
            async with connection.begin():
                assert (await connection.exec_driver_sql("PRAGMA wal_autocheckpoint")).scalar_one() == pages


async def test_a_transaction_without_a_statement_is_none(engine: AsyncEngine, trips: list[Any]):
    async with engine.begin():
        trips.clear()
    async with engine.connect() as connection, connection.begin():
        pass
    assert trips == []
    async with engine.begin() as connection:
        streamed = await connection.stream(sa.select(THINGS.c.name).order_by(THINGS.c.name))
        assert [row.name async for row in streamed] == ["a", "b", "c"]
        assert (await connection.get_raw_connection()).driver_connection.in_transaction


async def test_what_was_cancelled_or_failed_leaves_no_transaction_behind(engine: AsyncEngine):
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(sa.insert(THINGS), [{"name": "a"}])
    task = asyncio.ensure_future(_slow(engine))
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    async with engine.begin() as connection:
        await connection.execute(sa.insert(THINGS), [{"name": "d"}])
    async with engine.begin() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(THINGS)) == 4


async def _slow(engine: AsyncEngine) -> None:
    """For seconds, when nobody ends it."""
    count = sa.text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"
    )
    async with engine.begin() as connection:
        await connection.execute(count)
        await connection.execute(sa.insert(THINGS), [{"name": "never"}])
        raise AssertionError("it was not cancelled")


async def test_counts_keys_and_returned_rows_are_those_of_the_statement(engine: AsyncEngine):
    async with engine.begin() as connection:
        made = await connection.execute(sa.insert(THINGS).values(name="d"))
        assert made.inserted_primary_key == (4,)
        changed = await connection.execute(
            sa.update(THINGS).where(THINGS.c.id > 2).values(name=THINGS.c.name + "!")
        )
        assert changed.rowcount == 2
        gone = await connection.execute(sa.delete(THINGS).where(THINGS.c.id > 2).returning(THINGS.c.name))
        assert sorted(gone.scalars()) == ["c!", "d!"]
        many = await connection.execute(sa.insert(THINGS), [{"name": "x"}, {"name": "y"}])
        assert many.rowcount == 2
        nobody = await connection.execute(sa.select(THINGS).where(THINGS.c.id == 99))
        assert (list(nobody.keys()), nobody.all()) == (["id", "name"], [])
        streamed = [
            row.name async for row in await connection.stream(sa.select(THINGS).order_by(THINGS.c.name))
        ]
        assert streamed == ["a", "b", "x", "y"]


async def test_what_sqlite_refuses_is_said_by_its_name_and_the_connection_serves_on(engine: AsyncEngine):
    with pytest.raises(IntegrityError) as refused:
        async with engine.begin() as connection:
            await connection.execute(sa.insert(THINGS), [{"name": "e"}, {"name": "a"}])
    assert isinstance(refused.value.orig, sqlite3.IntegrityError)
    assert refused.value.orig.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"
    async with engine.begin() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(THINGS)) == 3
