"""`INSERT … ON CONFLICT`, which both databases know and each dialect spells with its own construct."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx


def insert_into(tx: ReadTx, model: type[SQLModel]) -> Any:
    """An insert that can be told what to do with a row that is there already."""
    table = table_of(model)
    return postgresql.insert(table) if tx.postgres else sqlite.insert(table)


def insert_new(tx: ReadTx, model: type[SQLModel]) -> Any:
    """An insert that leaves what another transaction stored first as it is."""
    return insert_into(tx, model).on_conflict_do_nothing()
