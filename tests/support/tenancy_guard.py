"""Raises on every statement that PostgreSQL's row-level security alone would keep inside its tenant."""

from typing import Any

from sqlalchemy import Connection, Delete, Update, event

from mailengine.db.tenancy import check_statement
from mailengine.db.unit import Database


def attach(db: Database) -> Database:
    """Check each statement of this database's transactions; returns the same database."""
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
