"""Raises on every statement that PostgreSQL's row-level security alone would keep inside its tenant."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Update, event

from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import check_statement
from mailengine.db.unit import Database, ReadTx


def attach(db: Database) -> Database:
    """Check each statement of this database's transactions; returns the same database."""
    Prepared.rows = _checked_rows  # type: ignore[assignment, method-assign]  # its statements are no event of SQLAlchemy
    for engine in {db.reader, db.writer}:
        event.listen(engine.sync_engine, "before_execute", _check)
    return db


def _check(
    connection: Connection,
    statement: Any,
    _many: Any,
    _params: Any,
    options: dict[str, Any],
) -> None:
    # The unit of work writes rows by their key; they were loaded by a statement that was checked.
    if isinstance(statement, Update | Delete) and "compiled_cache" in options:
        return
    scope = connection.get_execution_options().get("scope")
    if scope is not None:
        check_statement(statement, scope)


_rows = Prepared.rows


async def _checked_rows(prepared: Prepared, tx: ReadTx, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    connection = (await tx.connection()).sync_connection
    assert connection is not None
    scope = connection.get_execution_options().get("scope")
    if scope is not None:
        check_statement(prepared.statement, scope)
    return await _rows(prepared, tx, values)
