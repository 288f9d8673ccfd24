"""Alembic's entry: runs on the connection that `migrations.run` hands over, never on one of its own."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlmodel.sql.sqltypes import AutoString

from mailengine.db.types import BigPK, JSONType, UTCDateTime
from mailengine.migrations.comparing import is_modelled, type_differs
from mailengine.models import metadata


def render_item(kind: str, obj: Any, _context: AutogenContext) -> str | Literal[False]:
    """Spell column types so that one revision file fits both databases."""
    if kind != "type":
        return False
    if obj is JSONType or isinstance(obj, sa.JSON):
        return "JSONType"
    if obj is BigPK or isinstance(obj, sa.BigInteger):
        return "BigPK"
    if isinstance(obj, AutoString):
        return f"sa.String(length={obj.length})" if obj.length else "sa.String()"
    if isinstance(obj, UTCDateTime):
        return "UTCDateTime()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=type_differs,
    include_object=is_modelled,
    render_item=render_item,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
