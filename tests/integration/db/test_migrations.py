"""The migrated schema is the models'; migrating is repeatable, exclusive and refuses what is newer."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.db.unit import Database
from mailengine.migrations.comparing import is_modelled, type_differs
from mailengine.migrations.run import (
    alembic_config,
    check_current,
    current_revision,
    head_revision,
    revisions,
    upgrade,
)
from mailengine.models import metadata

pytestmark = pytest.mark.anyio

SETTINGS = DatabaseSettings()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    with request.getfixturevalue("postgres").empty() as dsn:
        yield dsn


def difference(connection: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": type_differs, "include_object": is_modelled}
    )
    return list(compare_metadata(context, metadata))


def test_the_revisions_are_those_that_alembic_reads() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_heads() == [head_revision()]
    assert [script.revision for script in scripts.walk_revisions()] == [*reversed(revisions())]


async def test_the_migrated_schema_is_the_models(db: Database) -> None:
    async with db.reader.connect() as connection:
        assert await connection.run_sync(difference) == []


async def test_a_second_upgrade_does_nothing(empty_url: str) -> None:
    first = await upgrade(empty_url, SETTINGS)
    assert await upgrade(empty_url, SETTINGS) == first
    db = Database(empty_url, SETTINGS)
    async with db.reader.connect() as connection:
        await check_current(connection)
        assert await current_revision(connection) == first
    await db.close()


async def test_upgrades_that_start_together_make_one_schema(empty_url: str) -> None:
    def run() -> str:
        return asyncio.run(upgrade(empty_url, SETTINGS))

    with ThreadPoolExecutor(3) as threads:
        assert len({done.result() for done in [threads.submit(run) for _ in range(3)]}) == 1


async def test_an_empty_database_is_not_an_installation(empty_url: str) -> None:
    db = Database(empty_url, SETTINGS)
    async with db.writer.connect() as connection:
        with pytest.raises(Unavailable, match="mailengine init"):
            await check_current(connection)
    await db.close()


async def test_a_newer_schema_is_refused_before_anything_is_touched(empty_url: str) -> None:
    await upgrade(empty_url, SETTINGS)
    db = Database(empty_url, SETTINGS)
    async with db.writer.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="schema 9999"):
        await upgrade(empty_url, SETTINGS)
    async with db.reader.connect() as connection:
        with pytest.raises(Unavailable, match="newer mailengine"):
            await check_current(connection)
        assert await current_revision(connection) == "9999"
    await db.close()
