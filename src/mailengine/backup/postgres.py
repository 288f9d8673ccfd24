"""PostgreSQL's own programs, `pg_dump`, `pg_restore` and `psql`, told where our database is.

The password goes by the environment, which other users cannot read, not by an argument. `mailengine.tenant_id`
is set to every tenant: the role that owns the tables is bound by row-level security as well, and pg_dump refuses
to leave rows out silently.
"""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from mailengine.core.errors import Unavailable
from mailengine.db.engine import normalise_url
from mailengine.db.tenancy import ALL_TENANTS, SETTING
from mailengine.db.unit import translated_errors
from mailengine.migrations.run import current_revision

_DUMP = ("--format=custom", "--no-owner", "--no-privileges", "--enable-row-security")


async def dump(url: str, target: Path) -> tuple[str, dict[str, int]]:
    """Dump to `target`; returns the schema's revision and the rows of each table, as of the same moment."""
    engine = create_async_engine(normalise_url(url), poolclass=NullPool)
    try:
        with translated_errors():
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                await see_all(connection)
                schema = await current_revision(connection)
                if schema is None:
                    raise Unavailable("the database is empty; run `mailengine init` first")
                counted = await counts(connection)
                snapshot = await connection.scalar(sa.text("SELECT pg_export_snapshot()"))
                await run(url, "pg_dump", *_DUMP, f"--snapshot={snapshot}", f"--file={target}")
    finally:
        await engine.dispose()
    return schema, counted


async def see_all(connection: AsyncConnection) -> None:
    """Every tenant's rows, until the transaction ends."""
    await connection.execute(sa.select(sa.func.set_config(SETTING, ALL_TENANTS, True)))


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """The rows of each table of ours, in the connection's transaction."""
    counted = {}
    for name in await tables(connection):
        counted[name] = int(await connection.scalar(sa.text(f'SELECT count(*) FROM "{name}"')) or 0)  # noqa: S608
    return counted


async def tables(connection: AsyncConnection) -> list[str]:
    """The tables that are in the database's current schema."""
    rows = await connection.scalars(
        sa.text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
    )
    return [str(name) for name in rows]


async def in_use(url: str) -> bool:
    """Whether another process of ours is connected; those of other roles cannot be seen."""
    engine = create_async_engine(normalise_url(url), poolclass=NullPool)
    try:
        with translated_errors():
            async with engine.connect() as connection:
                others = await connection.scalar(sa.text(_OTHERS))
    finally:
        await engine.dispose()
    return bool(others)


_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'mailengine' AND pid <> pg_backend_pid()
"""


async def to_sql(url: str, archive: Path, script: Path) -> None:
    """The dump as a script for psql."""
    await run(
        url, "pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(archive), database=False
    )


async def run_scripts(url: str, scripts: Sequence[Path]) -> None:
    """All of them in one transaction: either everything is there afterwards, or nothing has changed."""
    files = [f"--file={script}" for script in scripts]
    await run(
        url,
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
        *files,
    )


async def run(url: str, program: str, *arguments: str, database: bool = True) -> None:
    """Run one of PostgreSQL's programs on the database; raises Unavailable with its words."""
    path = shutil.which(program)
    if path is None:
        remedy = "install PostgreSQL's client programs (postgresql-client), as new as the server"
        raise Unavailable(f"{program} is not installed; {remedy}")
    process = await asyncio.create_subprocess_exec(
        path,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(_environment(url) if database else {})},
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = said.decode(errors="replace").split("\n")
        words = next((line for line in lines if "error" in line.lower()), lines[0])
        raise Unavailable(f"{program} failed: {words.strip()}")


def _environment(url: str) -> dict[str, str]:
    """libpq's variables for a URL of SQLAlchemy."""
    parsed = make_url(normalise_url(url))
    query = {name: value for name, value in parsed.query.items() if isinstance(value, str)}
    found = {
        "PGHOST": parsed.host or query.get("host"),
        "PGPORT": str(parsed.port) if parsed.port else query.get("port"),
        "PGUSER": parsed.username,
        "PGPASSWORD": parsed.password,
        "PGDATABASE": parsed.database,
        "PGSSLMODE": query.get("sslmode") or query.get("ssl"),
        "PGOPTIONS": f"-c {SETTING}={ALL_TENANTS}",
    }
    return {name: value for name, value in found.items() if value}
