"""`upgrade`: a backup, then the schema of this version; `--undo` puts the backup back."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from mailengine.core.config import DatabaseSettings
from mailengine.db.unit import Database
from mailengine.migrations.run import alembic_config, alone, current_revision, head_revision
from peers.ports import wait_until
from peers.postgres import Postgres
from support.daemon import SECRET, House
from support.program import Program


@pytest.fixture
def old(tmp_path: Path) -> Program:
    """An installation as the version before the last migration left it."""
    program = Program(tmp_path / "data")
    program.data_dir.mkdir()
    (program.data_dir / "secret.key").write_text("ab" * 32)
    (program.data_dir / "secret.key").chmod(0o600)
    path = program.data_dir / "mailengine.sqlite3"
    path.touch()
    asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
    return program


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the version before."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite+aiosqlite:///{tmp_path / 'shared.sqlite3'}"
            (tmp_path / "shared.sqlite3").touch()
        else:
            url = stack.enter_context(request.getfixturevalue("postgres").empty())
        asyncio.run(_migrate(url))
        yield url


@pytest.fixture
def old_postgres(postgres: Postgres) -> Iterator[str]:
    with postgres.empty() as url:
        asyncio.run(_migrate(url))
        yield url


async def _migrate(url: str) -> None:
    config = alembic_config()
    async with alone(url, DatabaseSettings()) as connection:

        def run(sync: object) -> None:
            config.attributes["connection"] = sync
            command.upgrade(config, _before_head())

        await connection.run_sync(run)
        await connection.commit()


def _before_head() -> str:
    script = ScriptDirectory.from_config(alembic_config()).get_revision(head_revision())
    assert isinstance(script.down_revision, str)
    return script.down_revision


def revision(program: Program) -> str:
    with sqlite3.connect(program.data_dir / "mailengine.sqlite3") as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    return str(found)


def test_it_backs_up_upgrades_and_goes_back(old: Program) -> None:
    assert "mailengine upgrade" in old.run("contacts", "list").complaint
    ran = old.ok("upgrade", "--json")
    assert (ran.json["from"], ran.json["schema"]) == (_before_head(), head_revision())
    assert revision(old) == head_revision()
    assert Path(ran.json["backup"]).is_file()
    assert old.ok("upgrade", "--json").json["upgraded"] is False
    old.ok("upgrade", "--undo", "--yes")
    assert revision(old) == _before_head()


def test_there_is_nothing_to_undo(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    program.init()
    assert "no backup" in program.run("upgrade", "--undo", "--yes").complaint
    assert program.run("upgrade", "--undo").code == 1


def test_a_daemon_on_an_older_schema_backs_up_first(old: Program) -> None:
    house = House(f"sqlite+aiosqlite:///{old.data_dir}/mailengine.sqlite3", old.data_dir)
    house.environment["MAILENGINE_SECRET_KEY"] = "ab" * 32
    with house.daemon("--role", "web") as daemon:
        daemon.url()
        assert revision(old) == head_revision()
        (said,) = house.events("the database has a newer schema now")
        assert Path(said["backup"]).is_file()
        assert daemon.end() == 0
    old.ok("upgrade", "--undo", "--yes")
    assert revision(old) == _before_head()


@pytest.mark.anyio
async def test_two_daemons_that_start_at_once_back_up_and_migrate_once(old_url: str, tmp_path: Path) -> None:
    houses = [House(old_url, tmp_path / name) for name in ("here", "there")]
    for house in houses:
        house.folder.mkdir()
    with ExitStack() as stack:
        async with alone(
            old_url, DatabaseSettings()
        ):  # both come while a third one has it, and go on in the same moment
            daemons = [stack.enter_context(house.daemon("--role", "web")) for house in houses]
            for house in houses:
                waits = partial(house.events, "another process migrates the database; waiting for it")
                wait_until(waits, "it waits and says so", 60)
        for daemon in daemons:
            daemon.url()
        assert await _stored(old_url) == head_revision()
        backups = [backup for house in houses for backup in (house.folder / "backups").glob("*")]
        assert len(backups) == 1
        assert sum(len(house.events("the database has a newer schema now")) for house in houses) == 1
        assert [daemon.end() for daemon in daemons] == [0, 0]


def test_without_pg_dump_upgrade_changes_nothing_and_a_daemon_goes_on(
    old_postgres: str, tmp_path: Path
) -> None:
    nowhere = {"MAILENGINE_SECRET_KEY": SECRET, "PATH": str(tmp_path / "nothing")}
    house = House(old_postgres, tmp_path / "data", **nowhere)
    house.folder.mkdir()
    ran = house.program.run("upgrade")
    assert ran.code == 1
    assert "nothing was changed" in ran.complaint
    assert "pg_dump is not installed; install PostgreSQL's client programs" in ran.complaint
    assert asyncio.run(_stored(old_postgres)) == _before_head()
    with house.daemon("--role", "web") as daemon:
        daemon.url()
        (said,) = house.events("the database gets a newer schema without a backup")
        assert "pg_dump is not installed" in said["words"]
        assert daemon.end() == 0
    assert asyncio.run(_stored(old_postgres)) == head_revision()


async def _stored(url: str) -> str | None:
    db = Database(url, DatabaseSettings())
    try:
        async with db.reader.connect() as connection:
            return await current_revision(connection)
    finally:
        await db.close()
