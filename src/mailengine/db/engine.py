"""Engines: on SQLite one writer and a pool of read-only connections, on PostgreSQL one pool.

SQLite has one write lock. A single writer connection per process queues writers in the process (p99 13 ms
with five tasks) where a pool of five makes them busy-wait in SQLite (p99 182 ms, at worst 2 s). Write
transactions begin IMMEDIATE: a deferred one that must upgrade its lock fails at once instead of waiting.
"""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.db.one_trip import one_trip_a_statement

READERS = 4
# Pages of 4 kB that SQLite's log holds before they are copied into the file. Each batch of an import changes most
# pages of the index of addresses: with the usual 4 MB they are copied again and again, and the disk waited for.
_LOG_PAGES, _BULK_LOG_PAGES = 1_000, 20_000
_REST_SECONDS = 1.0  # after it a connection to PostgreSQL is asked whether it still stands
# Execution options of a write transaction on SQLite:
DURABLE = "durable"  # it must survive a power cut
BULK = "bulk"  # one of many that together write much


def normalise_url(url: str) -> str:
    """Accept the URLs that people paste (postgres://…, sqlite:///…) and name the async driver."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise InvalidInput("the database URL cannot be read; use sqlite:///PATH or postgresql://…") from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite").render_as_string(hide_password=False)
    raise InvalidInput(f"{backend} is not supported; use sqlite:///PATH or postgresql://…")


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for PostgreSQL and for a database in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def sqlite_engine(
    url: str, *, write: bool, busy_timeout_seconds: float, foreign_keys: bool = True
) -> AsyncEngine:
    """One engine on a SQLite file; `foreign_keys=False` is for migrations, which rebuild tables."""
    engine = create_async_engine(
        url,
        connect_args={"timeout": busy_timeout_seconds},
        json_deserializer=_from_json,
        pool_size=1 if write else READERS,
        max_overflow=0,
    )
    one_trip_a_statement(engine.sync_engine)
    pragmas = (
        "journal_mode=WAL" if write else "query_only=ON",
        "synchronous=NORMAL",
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
        f"busy_timeout={int(busy_timeout_seconds * 1000)}",
        "cache_size=-32000",
        "temp_store=MEMORY",
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(dbapi_connection: Any, _record: ConnectionPoolEntry) -> None:
        dbapi_connection.isolation_level = None  # BEGIN is ours, below
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute("PRAGMA " + pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        if write:
            options = connection.get_execution_options()
            # NORMAL loses the last commits with the power, not with the process; FULL waits for the disk.
            _settle(connection, "synchronous", "FULL" if options.get(DURABLE) else "NORMAL", default="NORMAL")
            pages = _BULK_LOG_PAGES if options.get(BULK) else _LOG_PAGES
            _settle(connection, "wal_autocheckpoint", str(pages), default=str(_LOG_PAGES))
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _settle(connection: Connection, pragma: str, value: str, *, default: str) -> None:
    if connection.info.get(pragma, default) != value:
        connection.exec_driver_sql(f"PRAGMA {pragma}={value}")
        connection.info[pragma] = value


def _from_json(text: str) -> Any:
    """A contact's attributes are read for each message: msgspec takes 2 µs where `json` takes 16. It refuses a few
    things (lone surrogates, NaN) that `json` has written."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def postgres_engine(url: str, settings: DatabaseSettings) -> AsyncEngine:
    """The pool on PostgreSQL; raises Unavailable when the driver is not installed."""
    try:
        engine = create_async_engine(
            url,
            json_deserializer=_from_json,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_use_lifo=True,  # a server's process that has just been used knows the statements and the tables
            connect_args={"server_settings": {"application_name": "mailengine", "timezone": "UTC"}},
        )
    except ModuleNotFoundError as error:
        raise Unavailable(
            "PostgreSQL needs the driver asyncpg; install it with `pip install 'mailengine[postgres]'`"
        ) from error
    _ping_after_a_rest(engine.sync_engine)
    return engine


def _ping_after_a_rest(engine: Engine) -> None:
    """Ask whether a connection still stands before it is used, as `pool_pre_ping` does, but not where it was used a
    moment ago: the question is a transaction of its own, three trips beside the four or five of a short one."""

    @event.listens_for(engine, "checkin")
    def _checked_in(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checked_out(connection: Any, record: ConnectionPoolEntry, _fairy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or (
            time.monotonic() - used_at < _REST_SECONDS and not connection.driver_connection.is_closed()
        ):
            return
        try:
            engine.dialect.do_ping(connection)
        except connection.dbapi.Error as error:
            raise InvalidatePoolError from error


def engines(url: str, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
    """The reading and the writing engine for a URL; on PostgreSQL they are the same."""
    url = normalise_url(url)
    if url.startswith("sqlite"):
        timeout = settings.busy_timeout_seconds
        return (
            sqlite_engine(url, write=False, busy_timeout_seconds=timeout),
            sqlite_engine(url, write=True, busy_timeout_seconds=timeout),
        )
    engine = postgres_engine(url, settings)
    return engine, engine
