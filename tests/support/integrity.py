"""Every test that had a database ends here: the invariants must find nothing."""

import asyncio
import sqlite3
from contextlib import closing

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope
from mailengine.db.engine import sqlite_path
from mailengine.db.unit import Database
from mailengine.domain.integrity import QUERY, Violation, grouped, violations


def assert_integrity(dsn: str) -> None:
    """Fail with the rules that are broken and a few of the rows that break them."""
    path = sqlite_path(dsn)
    if path is None:
        assert asyncio.run(_violations(dsn)) == []
        return
    # Without engine and thread: a thousand tests end here, and that would be more than the rest of what they share.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        assert grouped(connection.execute(QUERY)) == []


async def _violations(dsn: str) -> list[Violation]:
    db = Database(dsn, DatabaseSettings())
    instance = InstanceScope("test")
    try:
        async with db.read(instance) as tx:
            return await violations(tx, instance)
    finally:
        await db.close()
