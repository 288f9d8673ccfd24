"""Tables of PostgreSQL that are filled at once: without what each row would pay for.

A row that is copied into a table pays for every index and every foreign key by itself, in no order; made afterwards,
an index is a sort and a foreign key is a join. What is taken away is put back from PostgreSQL's own words for it, in
the same transaction, which checks all rows and fails where one does not hold. The primary keys stay: rows come in
their order.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# A foreign key needs the unique constraint that it leads to: it goes first and comes back last.
_CONSTRAINTS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint
WHERE contype IN ('f', 'u') AND conrelid IN (SELECT to_regclass(quote_ident(name)) FROM unnest(:tables) AS t (name))
ORDER BY contype, conrelid, conname
"""
_INDEXES = """
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
FROM pg_index
WHERE indrelid IN (SELECT to_regclass(quote_ident(name)) FROM unnest(:tables) AS t (name))
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
ORDER BY indrelid, indexrelid
"""


class _Burden(NamedTuple):
    """What takes a constraint or an index away, and what makes it again."""

    take_away: str
    put_back: str


@asynccontextmanager
async def unburdened(connection: AsyncConnection, tables: Sequence[sa.Table]) -> AsyncIterator[None]:
    """Inside the block the tables have no foreign keys and no indexes but those of their primary keys."""
    burdens = [*await _found(connection, _CONSTRAINTS, tables), *await _found(connection, _INDEXES, tables)]
    for each in burdens:
        await connection.exec_driver_sql(each.take_away)
    yield
    for each in reversed(burdens):
        await connection.exec_driver_sql(each.put_back)


async def _found(connection: AsyncConnection, query: str, tables: Sequence[sa.Table]) -> list[_Burden]:
    names = sa.bindparam("tables", [table.name for table in tables], sa.ARRAY(sa.Text))
    return [_Burden(*row) for row in await connection.execute(sa.text(query).bindparams(names))]
