"""Statements on SQLite that go to the connection's thread once.

aiosqlite runs each call of a cursor in the thread of its connection: making it, executing, fetching and closing it
are four trips there and back for one statement, which took twice what SQLite did. Here the whole statement is one
trip. Results that are streamed keep the cursor of aiosqlite.

Beside a loop that sends mail a trip takes milliseconds, so that BEGIN goes with the first statement, and what has not
begun is not ended. A transaction without a statement is none.

Neither library has a public place for this. Their versions are bounded in pyproject.toml, and a test names what is
taken of them and fails with these names when a new version has changed them (tests/integration/db/test_one_trip.py).
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_ss_cursor,
)
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

_BEGIN = frozenset({"BEGIN", "BEGIN IMMEDIATE"})
_SETTINGS = ("PRAGMA synchronous=", "PRAGMA wal_autocheckpoint=")  # what engine.py says before it


class Outcome(NamedTuple):
    """What a statement left behind."""

    description: Any
    rowcount: int
    lastrowid: int | None
    rows: Sequence[Any]


class Cursor:
    """As much of aiosqlite's cursor as SQLAlchemy asks for; `execute` has fetched the rows already."""

    arraysize = 1

    def __init__(self, adapted: "OneTripConnection") -> None:
        self._adapted, self._connection = adapted, adapted._connection
        self._outcome = Outcome(None, -1, None, ())

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> "Cursor":
        if statement in _BEGIN or statement.startswith(_SETTINGS):
            self._adapted.ahead.append(statement)
        else:
            await self._run(_execute, statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Any) -> "Cursor":
        await self._run(_execute_many, statement, parameters)
        return self

    async def _run(self, execute: Callable[..., Outcome], statement: str, parameters: Any) -> None:
        connection, ahead = self._connection, self._adapted.take_ahead()
        self._outcome = await connection._execute(execute, connection._conn, ahead, statement, parameters)

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


def _begin(connection: sqlite3.Connection, ahead: Sequence[str]) -> None:
    for statement in ahead:
        connection.execute(statement).close()


def _execute(
    connection: sqlite3.Connection, ahead: Sequence[str], statement: str, parameters: Any
) -> Outcome:
    _begin(connection, ahead)
    cursor = connection.execute(statement, parameters)
    try:
        rows = cursor.fetchall() if cursor.description else ()
        return Outcome(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()


def _execute_many(
    connection: sqlite3.Connection, ahead: Sequence[str], statement: str, parameters: Any
) -> Outcome:
    _begin(connection, ahead)
    cursor = connection.executemany(statement, parameters)
    try:
        return Outcome(cursor.description, cursor.rowcount, cursor.lastrowid, ())
    finally:
        cursor.close()


class _AdaptedCursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()

    def _make_new_cursor(self, _connection: Any) -> Any:
        adapted: Any = self._adapt_connection
        return Cursor(adapted)


class _AdaptedStream(AsyncAdapt_aiosqlite_ss_cursor):
    __slots__ = ()

    async def _execute_async(self, operation: Any, parameters: Any) -> Any:
        adapted: Any = self._adapt_connection
        if ahead := adapted.take_ahead():
            await adapted._connection._execute(_begin, adapted._connection._conn, ahead)
        return await super()._execute_async(operation, parameters)


class OneTripConnection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ("_begun", "ahead")
    _cursor_cls = _AdaptedCursor
    _ss_cursor_cls = _AdaptedStream

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self.ahead: list[str] = []  # goes with the next statement
        self._begun = False  # a BEGIN went to the thread; whether it succeeded, only the thread knows

    def take_ahead(self) -> list[str]:
        ahead, self.ahead = self.ahead, []
        self._begun = self._begun or any(statement in _BEGIN for statement in ahead)
        return ahead

    async def run(self, statement: str, parameters: Sequence[Any]) -> Sequence[Any]:
        """As a Driver (driver.py)."""
        connection = self._connection
        try:
            outcome: Outcome = await connection._execute(
                _execute, connection._conn, self.take_ahead(), statement, parameters
            )
        except sqlite3.Error as error:
            raise DBAPIError.instance(statement, parameters, error, sqlite3.Error) from error
        return outcome.rows

    def commit(self) -> None:
        if self._is_to_end():
            super().commit()
            self._begun = False

    def rollback(self) -> None:
        if self._is_to_end():
            super().rollback()
            self._begun = False

    def _is_to_end(self) -> bool:
        self.ahead = [statement for statement in self.ahead if statement not in _BEGIN]
        return self._begun


def one_trip_a_statement(engine: Engine) -> None:
    """Have the engine's connections do so."""

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Dialect, _record: ConnectionPoolEntry, args: Any, options: Any) -> Any:
        adapted: Any = dialect.connect(*args, **options)
        return OneTripConnection(adapted.dbapi, adapted._connection)
