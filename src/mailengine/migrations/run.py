"""Bring a database to the schema of this code.

Two daemons may start at once: on PostgreSQL an advisory lock, on SQLite an exclusive lock on a file beside
the database lets one back up and migrate while the other waits, says so, and then finds nothing to do. A schema
that this code does not know is newer (or foreign) and is refused before anything is touched.

Every command asks whether the schema is its own, so that this is answered without alembic, whose import and reading
of all migrations would be a sixth of a short command's time.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.db.engine import normalise_url, postgres_engine, sqlite_engine
from mailengine.db.unit import translated_errors

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK_ID = 0x6D61696C  # "mail"; any number, the same in every process
_ASK_SECONDS = 0.2

log = get_logger("migrations")


def alembic_config() -> "Config":
    """Alembic's configuration without a file: scripts come from the package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mailengine:migrations")
    config.set_main_option("path_separator", "os")
    return config


async def upgrade(url: str, settings: DatabaseSettings) -> str:
    """Migrate to the newest schema; returns its revision. Raises Unavailable for a newer schema."""
    async with alone(url, settings) as connection:
        await known_revision(connection)
        return await migrate(connection)


@asynccontextmanager
async def alone(url: str, settings: DatabaseSettings) -> AsyncIterator[AsyncConnection]:
    """A connection for migrating, which one process at a time has; others wait for it."""
    url = normalise_url(url)
    sqlite = url.startswith("sqlite")
    engine = (
        sqlite_engine(url, write=True, busy_timeout_seconds=settings.busy_timeout_seconds, foreign_keys=False)
        if sqlite
        else postgres_engine(url, settings)
    )
    try:
        with translated_errors(), _lock_file(url if sqlite else None) as file:
            if file is not None:
                await _once(partial(_file_is_ours, file))
            async with engine.connect() as connection:
                if not sqlite:
                    await _once(partial(_database_is_ours, connection))
                yield connection
    finally:
        await engine.dispose()


async def _once(ours: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the lock is ours: a call that waited for it could not be ended by a signal."""
    said = False
    while not await ours():
        if not said:
            log.warning("another process migrates the database; waiting for it")
            said = True
        await asyncio.sleep(_ASK_SECONDS)


async def _file_is_ours(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _database_is_ours(connection: AsyncConnection) -> bool:
    """Held until the connection is closed, also when it breaks off."""
    ours = await connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK_ID)))
    await connection.commit()
    return bool(ours)


async def known_revision(connection: AsyncConnection) -> str | None:
    """The schema's revision, None of an empty database; raises Unavailable for one that is newer than this code."""
    found = await current_revision(connection)
    await connection.rollback()
    if found is not None:
        refuse_unknown(found)
    return found


async def migrate(connection: AsyncConnection) -> str:
    """To the newest schema, on a connection that `alone` gave and whose revision is known."""
    if await current_revision(connection) != head_revision():
        await connection.run_sync(_run_scripts)
    await connection.commit()
    return head_revision()


def _run_scripts(connection: sa.Connection) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def current_revision(connection: AsyncConnection) -> str | None:
    """The schema revision stored in the database, None for an empty one."""
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table("alembic_version")):
        return None
    return cast("str | None", await connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


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
    return revisions()[-1]


@cache
def revisions() -> tuple[str, ...]:
    """All that this code knows, the oldest first: the numbers with which the files of `versions` begin."""
    files = (Path(__file__).parent / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(path.name.partition("_")[0] for path in files))


def refuse_unknown(found: str) -> None:
    """Raise Unavailable for a schema that only a newer program can have written."""
    if found not in revisions():
        raise Unavailable(
            f"the database has schema {found}, which this version does not know: "
            "it was written by a newer mailengine; upgrade the program or restore a backup"
        )


@contextmanager
def _lock_file(sqlite_url: str | None) -> Iterator[TextIO | None]:
    """The file beside an SQLite database that is locked; a database in memory has none."""
    database = make_url(sqlite_url).database if sqlite_url else None
    if not database or database == ":memory:":
        yield None
        return
    path = Path(database)
    if not path.parent.is_dir():
        raise Unavailable(f"{path.parent}: there is no such directory for the database")
    try:
        file = path.with_name(path.name + ".migrate.lock").open("w")
    except OSError as error:
        raise Unavailable(f"{path.parent} cannot be written: {error.strerror}; check permissions") from error
    with file:
        yield file
