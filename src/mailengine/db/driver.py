"""The driver's connection below a transaction, for statements that go past SQLAlchemy's layers (`Prepared`).

The transaction stays the session's, which commits it or rolls it back. On SQLite it is the connection of one_trip.py.
What is taken here of SQLAlchemy's adapter of asyncpg is named by the same test as what that module takes.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection


class Driver(Protocol):
    async def run(self, statement: str, parameters: Sequence[Any]) -> Sequence[Any]:
        """The rows of a statement in the transaction of the session; errors are those that the session raises."""
        ...


class AsyncpgDriver:
    """asyncpg prepares a statement the first time and keeps it."""

    def __init__(self, adapted: AsyncAdapt_asyncpg_connection) -> None:
        self._adapted = adapted

    async def run(self, statement: str, parameters: Sequence[Any]) -> Sequence[Any]:
        adapted: Any = self._adapted
        try:
            if adapted._transaction is None:
                await adapted._start_transaction()
            rows: Sequence[Any] = await adapted._connection.fetch(statement, *parameters)
            return rows
        except Exception as error:
            closed = adapted._connection.is_closed()
            try:
                adapted._handle_exception(error)
            except adapted.dbapi.Error as told:
                raise DBAPIError.instance(
                    statement, parameters, told, adapted.dbapi.Error, connection_invalidated=closed
                ) from error
            raise  # not reached: the adapter raises what it does not translate


def driver_of(connection: AsyncConnection) -> Driver:
    made = connection.sync_connection
    assert made is not None
    adapted: Any = made.connection.dbapi_connection
    return AsyncpgDriver(adapted) if isinstance(adapted, AsyncAdapt_asyncpg_connection) else adapted
