"""SQLite → PostgreSQL: every row of every table, in one transaction, compared before it commits.

The source is locked against writers meanwhile. The target gets its schema from our migrations, its rows by COPY,
which takes a tenth of what INSERT takes, and its indexes when the rows are there. COPY does not go through row-level
security, which is therefore not forced on the tables' owner while the transaction lasts; its end, whatever it is,
leaves it as it was. A table is one COPY, whose rows are read and sent a page at a time: memory does not grow with it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from mailengine.backup import postgres, sqlite_copy
from mailengine.backup.bulk_load import unburdened
from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Conflict, InvalidInput, Unavailable
from mailengine.db.engine import normalise_url
from mailengine.db.statistics import analyse
from mailengine.db.tenancy import owned_tables
from mailengine.db.types import UTCDateTime
from mailengine.db.unit import translated_errors
from mailengine.migrations.run import check_head, upgrade
from mailengine.models import metadata

_PAGE_ROWS = 5_000

Progress = Callable[[str, int, int], None]  # table, rows so far, rows in all
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Transferred:
    """The rows of each table, the same on both sides."""

    counts: dict[str, int]


async def transfer(source: Path, url: str, settings: DatabaseSettings, progress: Progress) -> Transferred:
    """Copy an installation's rows into an empty PostgreSQL database; raises Conflict where it is not empty."""
    target = normalise_url(url)
    if target.startswith("sqlite"):
        raise InvalidInput("the target must be a PostgreSQL database: postgresql://…")
    check_head(sqlite_copy.schema(source))
    await _refuse_full(target)
    await upgrade(target, settings)
    with closing(_locked(source)) as original:
        engine = create_async_engine(target, poolclass=NullPool)
        try:
            with translated_errors(), _refusals_explained():
                async with engine.begin() as connection:
                    return await _copy_all(original, connection, progress)
        finally:
            await engine.dispose()


async def _refuse_full(url: str) -> None:
    """A schema that an earlier attempt left is no hindrance, a row is."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        with translated_errors():
            async with engine.connect() as connection:
                await postgres.see_all(connection)
                counted = await postgres.counts(connection)
    finally:
        await engine.dispose()
    full = [name for name, count in counted.items() if count and name != "alembic_version"]
    if full:
        raise Conflict(f"the target is not empty ({full[0]} has rows); make a new database for it")


def _locked(source: Path) -> sqlite3.Connection:
    """Open, with the write lock: nobody changes a row until we are done."""
    connection = sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        connection.close()
        raise Unavailable(f"{source} is in use ({error}); stop the daemon and try again") from error
    return connection


async def _copy_all(
    original: sqlite3.Connection, connection: AsyncConnection, progress: Progress
) -> Transferred:
    await postgres.see_all(connection)
    secured, tables = owned_tables(metadata), metadata.sorted_tables
    for table in secured:
        await connection.execute(sa.text(f'ALTER TABLE "{table.name}" NO FORCE ROW LEVEL SECURITY'))
    async with unburdened(connection, tables):
        counted = {table.name: await _copy_table(original, connection, table, progress) for table in tables}
    used = dict(original.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    for table in tables:
        await _set_sequence(connection, table, int(used.get(table.name, 0)))
    for table in secured:
        await connection.execute(sa.text(f'ALTER TABLE "{table.name}" FORCE ROW LEVEL SECURITY'))
    found = await postgres.counts(connection)
    for name, count in counted.items():
        if found.get(name) != count:
            raise Unavailable(
                f"{name}: {count} rows were read and {found.get(name)} arrived; nothing was kept"
            )
    await analyse(connection, [name for name, count in counted.items() if count])
    return Transferred(counted)


@contextmanager
def _refusals_explained() -> Iterator[None]:
    """SQLite takes what PostgreSQL does not, such as a NUL in a text. Only the first line: others quote the row."""
    import asyncpg  # deferred: it is an extra

    try:
        yield
    except (IntegrityError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        cause = error.orig if isinstance(error, IntegrityError) else error
        words = str(cause).partition("\n")[0]
        raise Unavailable(f"PostgreSQL refuses the rows: {words}; nothing was kept") from error


async def _copy_table(
    original: sqlite3.Connection, connection: AsyncConnection, table: sa.Table, progress: Progress
) -> int:
    total = int(original.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0])  # noqa: S608
    if not total:
        return 0
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    await driver.copy_records_to_table(
        table.name,
        records=_rows(original, table, lambda done: progress(table.name, done, total)),
        columns=[column.name for column in table.columns],
    )
    return total


def _rows(
    original: sqlite3.Connection, table: sa.Table, progress: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    rows = original.execute(f'SELECT {names} FROM "{table.name}"{_order(table)}')  # noqa: S608
    done = 0
    while page := rows.fetchmany(_PAGE_ROWS):
        yield from _converted(page, table)
        done += len(page)
        progress(done)


def _order(table: sa.Table) -> str:
    """By the key, so that PostgreSQL's own index of it grows at its end only."""
    key = table.primary_key.columns.keys()
    return f' ORDER BY "{key[0]}"' if key else ""


def _converted(page: list[tuple[Any, ...]], table: sa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows as PostgreSQL's driver wants them: only the columns that differ are touched, column by column."""
    columns: list[Any] = list(zip(*page, strict=True))
    for at, column in enumerate(table.columns):
        convert = _conversion(column.type)
        if convert is not None:
            columns[at] = [None if value is None else convert(value) for value in columns[at]]
    return zip(*columns, strict=True)


def _conversion(kind: sa.types.TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, UTCDateTime):
        return _moment
    if isinstance(kind, sa.Boolean):
        return bool
    if isinstance(kind, sa.Float):
        return float
    if isinstance(kind, sa.Date):
        return lambda text: datetime.fromisoformat(text).date()
    return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")  # a third of the time that `replace` takes


async def _set_sequence(connection: AsyncConnection, table: sa.Table, used: int) -> None:
    """The next id follows the highest that there ever was: ids of deleted rows stand in links that were sent."""
    for column in table.primary_key.columns:
        sequence = await connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
        if sequence is None:
            continue
        highest = max(int(await connection.scalar(sa.select(sa.func.max(column))) or 0), used)
        if highest:
            await connection.execute(sa.select(sa.func.setval(sequence, highest)))
