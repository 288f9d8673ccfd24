"""Bring a database to the schema of this code.

Two daemons may start at once: on PostgreSQL an advisory lock, on SQLite an exclusive lock on a file beside
the database lets one migrate while the other waits and then finds nothing to do. A schema that this code does
not know is newer (or foreign) and is refused before anything is touched.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.db.engine import normalise_url, postgres_engine, sqlite_engine
from mailengine.db.unit import translated_errors

_LOCK_ID = 0x6D61696C  # "mail"; any number, the same in every process


def alembic_config() -> Config:
    """Alembic's configuration without a file: scripts come from the package."""
    config = Config()
    config.set_main_option("script_location", "mailengine:migrations")
    config.set_main_option("path_separator", "os")
    return config


async def upgrade(url: str, settings: DatabaseSettings) -> str:
    """Migrate to the newest schema; returns its revision. Raises Unavailable for a newer schema."""
    url = normalise_url(url)
    sqlite = url.startswith("sqlite")
    engine = (
        sqlite_engine(url, write=True, busy_timeout_seconds=settings.busy_timeout_seconds, foreign_keys=False)
        if sqlite
        else postgres_engine(url, settings)
    )
    try:
        with translated_errors(), _file_lock(url if sqlite else None):
            async with engine.connect() as connection:
                if not sqlite:
                    await connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK_ID)))
                    await connection.commit()
                return await _migrate(connection)
    finally:
        await engine.dispose()


async def stored_revision(url: str, settings: DatabaseSettings) -> str | None:
    """The schema revision of a database that nobody has opened yet."""
    url = normalise_url(url)
    engine = (
        sqlite_engine(url, write=False, busy_timeout_seconds=settings.busy_timeout_seconds)
        if url.startswith("sqlite")
        else postgres_engine(url, settings)
    )
    try:
        with translated_errors():
            async with engine.connect() as connection:
                return await current_revision(connection)
    finally:
        await engine.dispose()


async def current_revision(connection: AsyncConnection) -> str | None:
    """The schema revision stored in the database, None for an empty one."""
    return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


async def check_current(connection: AsyncConnection) -> None:
    """Raise Unavailable unless the schema is exactly this code's."""
    check_head(await current_revision(connection))


def check_head(found: str | None) -> None:
    """Raise Unavailable unless that is the revision of this code's schema."""
    if found is None:
        raise Unavailable("the database is empty; run `mailengine init` first")
    if found != head_revision():
        refuse_unknown(found)
        raise Unavailable("the database has an older schema; start the daemon or run `mailengine upgrade`")


def head_revision() -> str:
    """The revision of this code's schema."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


@cache
def _scripts() -> ScriptDirectory:
    """Read once: alembic imports every migration to find the newest."""
    return ScriptDirectory.from_config(alembic_config())


async def _migrate(connection: AsyncConnection) -> str:
    config = alembic_config()
    found = await current_revision(connection)
    await connection.rollback()
    if found is not None:
        refuse_unknown(found)

    def run(sync: sa.Connection) -> None:
        config.attributes["connection"] = sync
        command.upgrade(config, "head")

    await connection.run_sync(run)
    await connection.commit()
    return head_revision()


def refuse_unknown(found: str) -> None:
    """Raise Unavailable for a schema that only a newer program can have written."""
    known = {script.revision for script in _scripts().walk_revisions()}
    if found not in known:
        raise Unavailable(
            f"the database has schema {found}, which this version does not know: "
            "it was written by a newer mailengine; upgrade the program or restore a backup"
        )


@contextmanager
def _file_lock(sqlite_url: str | None) -> Iterator[None]:
    database = make_url(sqlite_url).database if sqlite_url else None
    if not database or database == ":memory:":
        yield
        return
    path = Path(database)
    if not path.parent.is_dir():
        raise Unavailable(f"{path.parent}: there is no such directory for the database")
    try:
        file = path.with_name(path.name + ".migrate.lock").open("w")
    except OSError as error:
        raise Unavailable(f"{path.parent} cannot be written: {error.strerror}; check permissions") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
