"""All rows of a statement in one piece, for programs whose event loop is busy.

Python's sqlite3 lets go of the interpreter's lock for each row and then waits until the loop's thread gives it back:
a claim of 500 rows took a tenth of a second, in which SQLite worked for two milliseconds. As one JSON text they are
one row. PostgreSQL's driver reads from a socket and has no such thread.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mailengine.db.unit import ReadTx


async def rows_at_once(tx: ReadTx, statement: sa.Select[Any]) -> Sequence[Sequence[Any]]:
    """What `statement` gives. No column may be of bytes, which JSON cannot hold, or a fraction with more than 15
    digits, which SQLite's JSON would round."""
    if tx.postgres:
        plain: Sequence[Sequence[Any]] = (await tx.execute(statement)).all()
        return plain
    packed = statement.subquery()
    text = await tx.scalar(sa.select(sa.func.json_group_array(sa.func.json_array(*packed.c), type_=sa.Text)))
    assert text is not None  # of no rows it is "[]"
    rows: list[list[Any]] = msgspec.json.decode(text)
    dialect = tx.get_bind().dialect
    for i, column in enumerate(packed.c):
        process = column.type.dialect_impl(dialect).result_processor(dialect, None)
        if process is not None:
            for row in rows:
                row[i] = process(row[i])
    return rows
