"""Transactions as a unit of work: a face opens one, a use case fills it, nobody else commits.

    async with rt.db.write(scope) as tx:
        await launch(tx, scope, campaign_id)

The scope given at the start reaches PostgreSQL's row-level security, so a transaction cannot see another
tenant's rows even where a query forgot to ask for its own. Leaving the block commits, an exception rolls
back.
"""

import errno
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.core.scope import AnyScope
from mailengine.db.driver import Driver, driver_of
from mailengine.db.engine import BULK, DURABLE, engines
from mailengine.db.tenancy import SETTING, setting_for

_SIGNALS = "signals"  # in a transaction's info


class ReadTx(AsyncSession):
    """A consistent view of the database."""

    driver: Driver  # for `Prepared`, whose statements go past the session

    @property
    def postgres(self) -> bool:
        """True on PostgreSQL, for the few statements whose shape differs."""
        return self.get_bind().dialect.name == "postgresql"


class WriteTx(ReadTx):
    """A transaction that may change rows; on SQLite the only one at a time."""

    def signal(self, what: str) -> None:
        """Have `what` told to the database's `on_commit` once this has committed, and only then."""
        self.info.setdefault(_SIGNALS, set()).add(what)


def touched(result: sa.Result[Any]) -> int:
    """How many rows an INSERT, UPDATE or DELETE was about."""
    assert isinstance(result, sa.CursorResult)
    return int(result.rowcount)


class Database:
    """Both engines of one installation and the transactions on them."""

    def __init__(
        self,
        url: str,
        settings: DatabaseSettings,
        *,
        on_commit: Callable[[Set[str]], Awaitable[None]] | None = None,
    ) -> None:
        self.reader, self.writer = engines(url, settings)
        self.writers = (
            settings.pool_size if self.postgres else 1
        )  # transactions that can write at the same time
        self._on_commit = on_commit  # must not raise: the transaction stands

    @property
    def postgres(self) -> bool:
        return self.writer.dialect.name == "postgresql"

    @asynccontextmanager
    async def read(self, scope: AnyScope) -> AsyncIterator[ReadTx]:
        with translated_errors():
            async with ReadTx(self.reader, expire_on_commit=False, autoflush=False) as tx:
                await _enter(tx, scope)
                yield tx

    @asynccontextmanager
    async def write(
        self, scope: AnyScope, *, durable: bool = False, bulk: bool = False
    ) -> AsyncIterator[WriteTx]:
        """`durable`: what it commits survives a power cut also on SQLite, for a few milliseconds more. `bulk`: it is
        one of many that write much; SQLite's log may grow to 80 MB."""
        with translated_errors():
            async with WriteTx(self.writer, expire_on_commit=False) as tx, tx.begin():
                await _enter(tx, scope, _IDLE_LIMIT, durable=durable, bulk=bulk)
                yield tx
        signals = tx.info.get(_SIGNALS)
        if signals and self._on_commit is not None:
            await self._on_commit(signals)

    async def close(self) -> None:
        for engine in {self.reader, self.writer}:
            await engine.dispose()


# PostgreSQL notices after two hours that a client's machine is gone. Until then the rows that its transaction
# changed stay locked, a campaign's totals among them: every other machine would stand still.
_IDLE_LIMIT = ", set_config('idle_in_transaction_session_timeout', '30s', true)"


async def _enter(
    tx: ReadTx, scope: AnyScope, setting: str = "", *, durable: bool = False, bulk: bool = False
) -> None:
    connection = await tx.connection(execution_options={"scope": scope, DURABLE: durable, BULK: bulk})
    tx.driver = driver_of(connection)
    if tx.postgres:
        await tx.driver.run(f"SELECT set_config('{SETTING}', $1, true){setting}", (setting_for(scope),))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn a database that cannot serve into `Unavailable` with one clear line; faults of ours pass."""
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, InterfaceError, DBAPIError) as error:
        message = explain(error)
        if message is None:
            raise
        raise Unavailable(message) from error
    except (OSError, TimeoutError) as error:
        if isinstance(error, FileNotFoundError | FileExistsError | IsADirectoryError):
            raise
        if isinstance(error, ConnectionError | TimeoutError | socket.gaierror) or error.errno in _NO_WAY:
            raise Unavailable(
                "the database does not answer; check that it runs and that the URL is right"
            ) from error
        raise


_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}
_SQLITE_REMEDIES = {
    "SQLITE_BUSY": "the database is locked by another program for too long; close it and try again",
    "SQLITE_LOCKED": "the database is locked by another program for too long; close it and try again",
    "SQLITE_READONLY": "the database is read-only; check the permissions of the file and its directory",
    "SQLITE_FULL": "the disk is full (or the database reached its limit); free space and try again",
    "SQLITE_IOERR": "the disk fails or is full while the database writes; check it and try again",
    "SQLITE_CANTOPEN": "the database cannot be opened; check that its directory exists and can be written",
    "SQLITE_CORRUPT": "the database file is damaged; restore a backup",
    "SQLITE_NOTADB": "the database file is not a SQLite database; check the path",
}


def explain(error: DBAPIError) -> str | None:
    """One line for a person when the database is at fault, None when the statement is."""
    cause: Any = error.orig
    while cause is not None:
        name = getattr(cause, "sqlite_errorname", None)
        if isinstance(cause, sqlite3.Error) and name:
            return next((text for key, text in _SQLITE_REMEDIES.items() if name.startswith(key)), None)
        state = getattr(cause, "sqlstate", None)
        if state:
            return _explain_postgres(state, str(cause))
        cause = cause.__cause__
    if error.connection_invalidated:
        return "the connection to the database was lost; it is tried again on the next request"
    return None


def _explain_postgres(state: str, words: str) -> str | None:
    first_line = words.splitlines()[0] if words else ""
    closed = state == "55000" and "accepting connections" in first_line
    if state.startswith(("08", "57P")) or state == "25P03" or closed:  # 25P03: idle for too long
        return f"PostgreSQL does not answer: {first_line}"
    if state.startswith("28") or state == "3D000":
        return f"PostgreSQL refuses the connection: {first_line}"
    if state in ("53100", "53200", "53300", "25006"):
        return f"PostgreSQL cannot write: {first_line}"
    return None
