"""`migrate-database`: an installation on SQLite goes on in PostgreSQL, with every row and no id used twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from mailengine.db.tenancy import owned_tables
from mailengine.models import metadata
from peers.postgres import Postgres
from support.installation import Installation, install
from support.integrity import assert_integrity


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    with postgres.empty() as dsn:
        yield dsn


def test_it_goes_on_in_postgresql(tmp_path: Path, empty: str, postgres_dsn: str) -> None:
    house = install(tmp_path, 1)
    house.ok("contacts", "add", "zoe@example.net")
    before = house.ok("contacts", "list", "--json").json
    house.sql("DELETE FROM contacts WHERE email = 'zoe@example.net' RETURNING id")
    ran = house.ok("migrate-database", empty, "--json")
    assert ran.json["tables"]["contacts"] == before["total"] - 1
    assert "MAILENGINE_DATABASE_URL" in ran.err
    assert not house.database.exists()
    assert Path(ran.json["kept"]).exists()
    assert "init" in house.run("contacts", "list").complaint  # nothing sends from the old file
    house.environment["MAILENGINE_DATABASE_URL"] = empty
    after = house.ok("contacts", "list", "--json").json
    assert [item["email"] for item in after["items"]] == [
        item["email"] for item in before["items"] if item["email"] != "zoe@example.net"
    ]
    house.ok("campaign", "check", "Spring")
    house.ok("contacts", "add", "new@example.net", "--list", "Customers")
    assert house.ok("doctor", "--offline", "--json").json["healthy"] is True
    assert_integrity(empty)
    _secured(empty)
    assert _promises(empty) == _promises(postgres_dsn), "indexes and constraints are those of the migrations"


_PROMISES = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL
SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace ORDER BY 1
"""


def _promises(dsn: str) -> list[str]:
    async def read() -> list[str]:
        connection = await asyncpg.connect(dsn.replace("+asyncpg", ""))
        try:
            return [str(row[0]) for row in await connection.fetch(_PROMISES)]
        finally:
            await connection.close()

    return asyncio.run(read())


def test_a_row_that_postgresql_refuses_is_said_and_nothing_stays(tmp_path: Path, empty: str) -> None:
    house = install(tmp_path, 1)
    house.sql("UPDATE contacts SET first_name = 'a' || char(0) || 'b' WHERE id = 2 RETURNING id")
    ran = house.run("migrate-database", empty)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].endswith(
        'invalid byte sequence for encoding "UTF8": 0x00; nothing was kept'
    )
    house.sql("UPDATE contacts SET first_name = '' WHERE id = 2 RETURNING id")
    assert house.ok("migrate-database", empty, "--json").json["tables"]["contacts"] == 3


def _secured(dsn: str) -> None:
    """Row-level security is forced on every owned table, as before."""

    async def read() -> tuple[set[str], int]:
        engine = create_async_engine(dsn)
        async with engine.connect() as connection:
            rows = await connection.execute(
                sa.text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
            )
            highest = await connection.scalar(sa.text("SELECT last_value FROM contacts_id_seq"))
            known = await connection.scalar(
                sa.text("SELECT reltuples FROM pg_class WHERE relname = 'contacts'")
            )
            assert known >= 0, "the planner knows how many rows there are; -1: it was never told"
        await engine.dispose()
        return {row.relname for row in rows}, int(highest or 0)

    forced, highest = asyncio.run(read())
    assert {table.name for table in owned_tables(metadata)} <= forced
    assert highest >= 5  # the deleted contact's id was 4, and stands in links that were sent


def test_a_target_with_rows_is_refused_and_nothing_moves(tmp_path: Path, postgres_dsn: str) -> None:
    house = install(tmp_path, 1)
    other = Installation(tmp_path / "other")
    other.environment["MAILENGINE_DATABASE_URL"] = postgres_dsn
    other.init("Other")
    ran = house.run("migrate-database", postgres_dsn)
    assert (ran.code, "not empty" in ran.complaint) == (1, True)
    assert house.database.exists()
    assert house.ok("contacts", "list", "--json").json["total"] == 3


@pytest.mark.parametrize("url", ["sqlite:///x", "mysql://x", "nonsense", "postgresql://127.0.0.1:1/x"])
def test_a_target_that_cannot_be_is_one_line(tmp_path: Path, url: str) -> None:
    house = Installation(tmp_path / "data")
    house.init()
    ran = house.run("migrate-database", url)
    assert ran.code in (1, 2)
    assert ran.complaint
    assert house.database.exists()
