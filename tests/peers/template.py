"""Brings an empty database to the state in which every test's own copy starts.

Invariant: `prepare_template` is called once for each database system and session, in a thread without a
running event loop; it must leave no connection open, or the database cannot be copied.
"""

import asyncio
import shutil
import sqlite3
from pathlib import Path

from mailengine.core.config import DatabaseSettings
from mailengine.migrations.run import upgrade
from peers.shared import once, run_directory


def prepare_template(dsn: str) -> None:
    """Migrates the empty database of that SQLAlchemy URL (sqlite+aiosqlite or postgresql+asyncpg)."""
    asyncio.run(upgrade(dsn, DatabaseSettings()))


def copy_sqlite(target: Path) -> str:
    """The DSN of a migrated SQLite file at `target`."""
    template = run_directory() / "template.sqlite3"
    once("sqlite-template", lambda: _make_sqlite(template))
    shutil.copyfile(template, target)
    return f"sqlite+aiosqlite:///{target}"


def _make_sqlite(template: Path) -> None:
    template.unlink(missing_ok=True)
    template.touch()
    prepare_template(f"sqlite+aiosqlite:///{template}")
    connection = sqlite3.connect(template)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the copy is of this one file
    connection.close()
