"""How PostgreSQL would run what the program has just asked of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mailengine.db.unit import Database
from support.house import INSTANCE


@contextmanager
def asked(db: Database, *words: str) -> Iterator[list[tuple[str, Any]]]:
    """Collects the written transactions' statements that have all these words, with their values."""
    said: list[tuple[str, Any]] = []

    def listen(
        _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool
    ) -> None:
        if all(word in statement for word in words):
            said.append((statement, values))

    sa.event.listen(db.writer.sync_engine, "before_cursor_execute", listen)
    try:
        yield said
    finally:
        sa.event.remove(db.writer.sync_engine, "before_cursor_execute", listen)


async def plan_of(db: Database, statement: str, values: Any) -> list[str]:
    async with db.write(INSTANCE) as tx:
        plan = await (await tx.connection()).exec_driver_sql("EXPLAIN " + statement, values)
        return [str(row[0]) for row in plan]
