"""Who holds a lease when things go wrong."""

import sqlite3
from pathlib import Path

import pytest

from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.daemon.lease import Leadership
from mailengine.db.unit import Database

pytestmark = pytest.mark.anyio


async def test_it_is_had_again_after_the_database_was_away(sqlite_dsn: str, tmp_path: Path) -> None:
    """The role fails with its database and is started again: by itself it must not be kept out."""
    db = Database(sqlite_dsn, DatabaseSettings(busy_timeout_seconds=0.1))
    blocker = sqlite3.connect(tmp_path / "test.sqlite3", isolation_level=None)
    try:
        first, second = (
            Leadership(db, SystemClock(), name="scheduler", node="n", folder=tmp_path) for _ in range(2)
        )
        assert await first.held()
        assert not await second.held()
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await first.release()
        blocker.execute("ROLLBACK")
        assert await second.held()
        await second.release()
    finally:
        blocker.close()
        await db.close()
