"""`upgrade`: a backup, then the schema of this version; `--undo` puts the backup back."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from mailengine.db.engine import sqlite_engine
from mailengine.migrations.run import alembic_config, head_revision
from support.daemon import House
from support.program import Program


@pytest.fixture
def old(tmp_path: Path) -> Program:
    """An installation as the version before the last migration left it."""
    program = Program(tmp_path / "data")
    program.data_dir.mkdir()
    (program.data_dir / "secret.key").write_text("ab" * 32)
    (program.data_dir / "secret.key").chmod(0o600)
    asyncio.run(_migrate(program.data_dir / "mailengine.sqlite3"))
    return program


async def _migrate(path: Path) -> None:
    path.touch()
    engine = sqlite_engine(
        f"sqlite+aiosqlite:///{path}", write=True, busy_timeout_seconds=5, foreign_keys=False
    )
    config = alembic_config()
    async with engine.connect() as connection:

        def run(sync: object) -> None:
            config.attributes["connection"] = sync
            command.upgrade(config, _before_head())

        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


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
        (said,) = house.events("the database gets a newer schema")
        assert Path(said["backup"]).is_file()
        assert daemon.end() == 0
    old.ok("upgrade", "--undo", "--yes")
    assert revision(old) == _before_head()
