"""How the database would run what the program has just asked of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mailengine.db.driver import AsyncpgDriver
from mailengine.db.unit import Database
from support.house import INSTANCE


@contextmanager
def asked(db: Database, *words: str) -> Iterator[list[tuple[str, Any]]]:
    """Collects the statements that have all these words, with their values; on PostgreSQL also those that go past
    the session."""
    said: list[tuple[str, Any]] = []
    run = AsyncpgDriver.run

    def listen(
        _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool
    ) -> None:
        if all(word in statement for word in words):
            said.append((statement, values))

    async def heard(driver: AsyncpgDriver, statement: str, values: Any) -> Any:
        listen(None, None, statement, values, None, False)
        return await run(driver, statement, values)

    engines = {db.reader, db.writer}
    AsyncpgDriver.run = heard  # type: ignore[method-assign]
    for engine in engines:
        sa.event.listen(engine.sync_engine, "before_cursor_execute", listen)
    try:
        yield said
    finally:
        AsyncpgDriver.run = run  # type: ignore[method-assign]
        for engine in engines:
            sa.event.remove(engine.sync_engine, "before_cursor_execute", listen)


async def plan_of(db: Database, statement: str, values: Any, *, large: bool = False) -> list[str]:
    """The plan's lines; `large` keeps PostgreSQL from reading whole tables, as if they were too large for that."""
    async with db.write(INSTANCE) as tx:
        connection = await tx.connection()
        if not db.postgres:
            plan = await connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)
            return [str(row[3]) for row in plan]
        if large:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [str(row[0]) for row in await connection.exec_driver_sql("EXPLAIN " + statement, values)]
