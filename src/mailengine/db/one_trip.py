"""Statements on SQLite that go to the connection's thread once.

aiosqlite runs each call of a cursor in the thread of its connection: making it, executing, fetching and closing it
are four trips there and back for one statement, which took twice what SQLite did. Here the whole statement is one
trip. Results that are streamed keep the cursor of aiosqlite.

Neither library has a public place for this. Their versions are bounded in pyproject.toml, and a test names what is
taken of them and fails with these names when a new version has changed them (tests/integration/db/test_one_trip.py).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.pool import ConnectionPoolEntry


class Outcome(NamedTuple):
    """What a statement left behind."""

    description: Any
    rowcount: int
    lastrowid: int | None
    rows: Sequence[Any]


class Cursor:
    """As much of aiosqlite's cursor as SQLAlchemy asks for; `execute` has fetched the rows already."""

    arraysize = 1

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._outcome = Outcome(None, -1, None, ())

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> "Cursor":
        self._outcome = await self._connection._execute(
            _execute, self._connection._conn, statement, parameters
        )
        return self

    async def executemany(self, statement: str, parameters: Any) -> "Cursor":
        connection = self._connection
        self._outcome = await connection._execute(_execute_many, connection._conn, statement, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        return self._outcome.rows

    async def close(self) -> None:
        """Closed since the end of its statement."""

    @property
    def description(self) -> Any:
        return self._outcome.description

    @property
    def rowcount(self) -> int:
        return self._outcome.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._outcome.lastrowid


def _execute(connection: sqlite3.Connection, statement: str, parameters: Any) -> Outcome:
    cursor = connection.execute(statement, parameters)
    try:
        rows = cursor.fetchall() if cursor.description else ()
        return Outcome(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()


def _execute_many(connection: sqlite3.Connection, statement: str, parameters: Any) -> Outcome:
    cursor = connection.executemany(statement, parameters)
    try:
        return Outcome(cursor.description, cursor.rowcount, cursor.lastrowid, ())
    finally:
        cursor.close()


class _AdaptedCursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()

    def _make_new_cursor(self, connection: Any) -> Any:
        return Cursor(connection)


class _AdaptedConnection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _AdaptedCursor


def one_trip_a_statement(engine: Engine) -> None:
    """Have the engine's connections do so."""

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Dialect, _record: ConnectionPoolEntry, args: Any, options: Any) -> Any:
        adapted: Any = dialect.connect(*args, **options)
        return _AdaptedConnection(adapted.dbapi, adapted._connection)
