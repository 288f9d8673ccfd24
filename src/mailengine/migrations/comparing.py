"""What of a stored schema is compared with the models, and when a column's type is not the model's."""

from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext


def type_differs(
    context: MigrationContext, _stored_column: Any, _column: Any, stored: Any, modelled: Any
) -> bool | None:
    """SQLite has one kind of integer (its documentation, "Datatypes", 3.1); all else is compared as usual."""
    both_integers = isinstance(stored, sa.Integer) and isinstance(modelled, sa.Integer)
    return False if context.dialect.name == "sqlite" and both_integers else None


def is_modelled(_thing: Any, name: str | None, kind: str, reflected: bool, _modelled: Any) -> bool:
    """The index for searching is made by its revision (0015): its tables differ by database and are no models."""
    searching = (name or "").startswith(("contact_search", "search_queue"))
    return not (kind == "table" and reflected and searching)
