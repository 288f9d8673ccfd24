"""What all tables share: the metadata with named constraints, and columns in one spelling."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.db.types import BigPK, JSONType, UTCDateTime

# Alembic drops constraints by name, also in SQLite's table rebuilds.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = SQLModel.metadata


def pk() -> Any:
    return Field(default=None, primary_key=True, sa_type=BigPK)


def ref(target: str, *, nullable: bool = False, index: bool = False, cascade: bool = False) -> Any:
    """A foreign key `table.column`; `cascade` deletes this row with its parent."""
    extra: Any = {"ondelete": "CASCADE"} if cascade else {}
    default = None if nullable else ...
    return Field(default=default, foreign_key=target, nullable=nullable, index=index, sa_type=BigPK, **extra)


def contacts_tenant() -> Any:
    """The tenant of a row that belongs to a contact. No foreign key: that of the contact says that there is such a
    tenant, and an import would ask PostgreSQL for it four times a contact, a seventh of its time."""
    return Field(nullable=False, sa_type=BigPK)


def moment(*, nullable: bool = False) -> Any:
    return Field(default=None if nullable else ..., nullable=nullable, sa_type=UTCDateTime)


def json_object() -> Any:
    return Field(default_factory=dict, sa_type=JSONType, nullable=False)


def json_list() -> Any:
    return Field(default_factory=list, sa_type=JSONType, nullable=False)


def one_of(column: str, values: type[Any]) -> sa.CheckConstraint:
    """The database refuses a state that the code does not know; `values` is a StrEnum."""
    names = ", ".join(f"'{value.value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({names})", name=column)
