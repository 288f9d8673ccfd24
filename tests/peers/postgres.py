"""A worker's databases on the session's PostgreSQL (`postgres_server`).

Invariants: tests connect as `mailengine_app`, which is neither superuser nor BYPASSRLS, so that row-level
security holds for it (on tables it owns: with FORCE). Every test has a database to itself, as the template is that
`template.prepare_template` filled once: a copy of it, or one whose rows a test before has left and that were removed,
which takes a fifth of the time. A database whose schema a test has changed is not used again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import asyncpg

from peers.ports import LOOPBACK
from peers.shared import obtain, once, worker_name
from peers.template import prepare_template

ROLE = "mailengine_app"
TEMPLATE = "mailengine_template"
T = TypeVar("T")


# Who is still connected is thrown out; what has rows is emptied; every sequence begins again. Rows are deleted where
# they are few: TRUNCATE makes new files of a table and its indexes, which takes a hundred times as long.
_THROW_OUT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_FEW_BYTES = 256 << 10
_FILLED = """
    SELECT format('%I', relname), pg_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
    AND pg_relation_size(oid) > 0
"""
_BEGIN_AGAIN = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences
    WHERE last_value IS NOT NULL
"""
_SHAPE = """
    SELECT (SELECT count(*) FROM pg_class), (SELECT max(oid) FROM pg_class), (SELECT count(*) FROM pg_attribute),
    (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_trigger),
    (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_db_role_setting),
    (SELECT count(*) FROM pg_class WHERE relacl IS NOT NULL),
    (SELECT string_agg(version_num, ' ') FROM alembic_version)
"""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A migrated database; `shape` is what its schema was at first."""

    name: str
    shape: asyncpg.Record | None


async def _emptied(connection: asyncpg.Connection) -> asyncpg.Record | None:
    """Remove all rows; returns the shape of the schema."""
    await connection.execute(_THROW_OUT)
    filled = dict(await connection.fetch(_FILLED))
    if many := [name for name, size in filled.items() if size > _FEW_BYTES]:
        await connection.execute(f"TRUNCATE {', '.join(many)} CASCADE")
    await connection.execute("SET session_replication_role = replica")  # neither foreign keys nor triggers
    for name in filled:
        await connection.execute(f"DELETE FROM {name}")
    await connection.execute(_BEGIN_AGAIN)
    return await connection.fetchrow(_SHAPE)


class Postgres:
    """This worker's hand on the shared server: creates and drops databases."""

    def __init__(self) -> None:
        self.host, self.port = LOOPBACK, int(obtain("postgres_server")["port"])
        self._names = (f"test_{worker_name()}_{number}" for number in count(1))
        # A thread and loop of its own: fixtures are also set up while a test's loop runs.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres-admin")
        self._loop = asyncio.new_event_loop()
        self._admin = self._wait(self._connect("postgres"))
        self._free: list[_Copy] = []
        once("postgres-template", self._make_template)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._loop.run_until_complete, work).result()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=self.host, port=self.port, user="postgres", database=database, ssl=False
        )

    def dsn(self, database: str) -> str:
        return f"postgresql+asyncpg://{ROLE}@{self.host}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Runs one statement as the superuser."""
        self._wait(self._admin.execute(statement))

    def _make_template(self) -> None:
        self.execute(
            f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE CREATEDB; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        self.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
        self._thread.submit(prepare_template, self.dsn(TEMPLATE)).result()

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """The DSN of a database without rows: migrated, or without tables."""
        if migrated:
            copy = self._free.pop() if self._free else self._wait(self._copy())
            try:
                yield self.dsn(copy.name)
            finally:
                self._take_back(copy)
        else:
            name = next(self._names)
            self.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
            try:
                yield self.dsn(name)
            finally:
                self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _take_back(self, copy: _Copy) -> None:
        if self._wait(self._is_as_before(copy)):
            self._free.append(copy)
        else:
            self.execute(f"DROP DATABASE {copy.name} WITH (FORCE)")

    async def _is_as_before(self, copy: _Copy) -> bool:
        """Remove all rows; False when a test has changed more than rows, or shut the database."""
        try:
            return bool(await self._asked(copy.name, _emptied) == copy.shape)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def _copy(self) -> _Copy:
        name = next(self._names)
        await self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}")
        return _Copy(name, await self._asked(name, _emptied))

    async def _asked(self, database: str, ask: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """By a connection that is gone afterwards: tests look who is connected."""
        connection = await self._connect(database)
        try:
            return await ask(connection)
        finally:
            await connection.close()

    def close(self) -> None:
        self._wait(self._admin.close())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()
