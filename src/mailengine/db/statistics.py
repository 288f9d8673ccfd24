"""What PostgreSQL's planner believes of its tables, after much was written at once.

Autovacuum looks within a minute. Until then the planner takes a table for what it was: the checks before a launch
went through half of a list again for each contact of an import that had just ended.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx

_GROWN = sa.text(
    "SELECT relname FROM pg_class WHERE oid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))"
    " AND CAST(:added AS bigint) * 10 > reltuples"
)


async def follow_growth(tx: WriteTx, models: Sequence[type[SQLModel]], *, added: int) -> None:
    """Look at those of the tables that `added` rows may have made another size; nothing to do on SQLite."""
    if added and tx.postgres:
        tables = [table_of(model).name for model in models]
        grown = await tx.scalars(_GROWN, {"tables": tables, "added": added})
        await analyse(await tx.connection(), grown.all())


async def analyse(connection: AsyncConnection, tables: Sequence[str]) -> None:
    for name in tables:
        await connection.execute(sa.text(f'ANALYZE "{name}"'))
