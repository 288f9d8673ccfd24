"""For developers: `python -m mailengine.migrations.new "message"` writes the revision that the models need.

The file is made by comparing the models with a fresh SQLite database; a new owned table gets its row-level
security policy in the same revision, by hand (see 0001). There are no downgrades: a backup undoes an upgrade.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from mailengine.core.config import DatabaseSettings
from mailengine.db.engine import sqlite_engine
from mailengine.migrations.run import alembic_config, upgrade


async def write_revision(message: str) -> None:
    """Add a file to versions/ numbered after the newest one."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'empty.sqlite3'}"
        versions = Path(__file__).parent / "versions"
        number = f"{len(list(versions.glob('[0-9]*.py'))) + 1:04}"
        if number != "0001":
            await upgrade(url, DatabaseSettings())
        engine = sqlite_engine(url, write=True, busy_timeout_seconds=5, foreign_keys=False)

        def run(connection: sa.Connection) -> None:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=number)

        async with engine.connect() as connection:
            await connection.run_sync(run)
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(write_revision(sys.argv[1]))
