"""When a stored column's type is not the model's."""

from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext


def type_differs(
    context: MigrationContext, _stored_column: Any, _column: Any, stored: Any, modelled: Any
) -> bool | None:
    """SQLite has one kind of integer (its documentation, "Datatypes", 3.1); all else is compared as usual."""
    both_integers = isinstance(stored, sa.Integer) and isinstance(modelled, sa.Integer)
    return False if context.dialect.name == "sqlite" and both_integers else None
