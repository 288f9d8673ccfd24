"""Statements on SQLite are one trip to its thread, and leave behind what those of aiosqlite's own cursor do."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from mailengine.db.engine import sqlite_engine

pytestmark = pytest.mark.anyio
NAMES = (
    (AsyncAdapt_aiosqlite_connection, "_cursor_cls"),
    (AsyncAdapt_aiosqlite_cursor, "_make_new_cursor"),
    (aiosqlite.Connection, "_conn"),
    (aiosqlite.Connection, "_execute"),
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
        f"{versions} have no {', '.join(missing)}: db/one_trip.py must be written anew for them"
    )


async def test_a_statement_is_one_trip(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch):
    trips = []
    run = aiosqlite.Connection._execute

    async def counted(self: Any, function: Any, *args: Any, **options: Any) -> Any:
        trips.append(function)
        return await run(self, function, *args, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with engine.begin() as connection:
        trips.clear()
        names = (await connection.scalars(sa.select(THINGS.c.name).order_by(THINGS.c.name))).all()
        assert names == ["a", "b", "c"]
        assert len(trips) == 1


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
