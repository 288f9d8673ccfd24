"""Every test that had a database ends here: the invariants must find nothing."""

import asyncio

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.integrity import Violation, violations


def assert_integrity(dsn: str) -> None:
    """Fail with the rules that are broken and a few of the rows that break them."""
    assert asyncio.run(_violations(dsn)) == []


async def _violations(dsn: str) -> list[Violation]:
    db = Database(dsn, DatabaseSettings())
    instance = InstanceScope("test")
    try:
        async with db.read(instance) as tx:
            return await violations(tx, instance)
    finally:
        await db.close()
