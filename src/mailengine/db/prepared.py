"""Statements of hot paths, compiled once and given to the driver as they are.

Beside a loop that sends mail each of SQLAlchemy's layers costs as much as SQLite: a statement through the session is
190 µs of processor time in the loop, straight to the connection's thread 20. The transaction stays the session's.
PostgreSQL's statements take the session's way: its driver has the state of the transaction to keep.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from mailengine.db.unit import ReadTx


class Prepared:
    """A statement with named parameters and none that expands; what its columns' types make of values is left to
    the caller on SQLite."""

    def __init__(self, statement: sa.Executable) -> None:
        self.statement = statement
        self._sqlite: _Compiled | None = None

    async def rows(self, tx: ReadTx, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """What it selects or returns; nothing when that is nothing."""
        if tx.postgres:
            result: Any = await tx.execute(self.statement, values)
            return result.all() if result.returns_rows else ()
        if tx.autoflush and (tx.new or tx.dirty or tx.deleted):
            await tx.flush()
        if self._sqlite is None:
            self._sqlite = _Compiled(self.statement, tx.get_bind().dialect)
        return await tx.sqlite.run(self._sqlite.text, self._sqlite.parameters(values))

    async def value(self, tx: ReadTx, values: Mapping[str, Any]) -> Any:
        """The first column of the first row."""
        return (await self.rows(tx, values))[0][0]


class _Compiled:
    """What goes to the driver: the text, and each parameter as its type writes it."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._fixed = compiled.params
        processors = {
            name: bound.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bound in compiled.binds.items()
        }
        self._wanted = [(name, processors[name]) for name in compiled.positiontup]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        every = {**self._fixed, **values}
        return tuple([process(every[name]) if process else every[name] for name, process in self._wanted])
