"""A worker's databases on the session's PostgreSQL (`postgres_server`).

Invariants: tests connect as `mailengine_app`, which is neither superuser nor BYPASSRLS, so that row-level
security holds for it (on tables it owns: with FORCE). Every test has a database to itself, as the template is that
`template.prepare_template` filled once: a copy of it, or one whose rows a test before has left and that were removed,
which takes a fifth of the time. A database whose schema a test has changed is not used again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar

import asyncpg

from peers.ports import LOOPBACK
from peers.shared import obtain, once, worker_name
from peers.template import prepare_template

ROLE = "mailengine_app"
TEMPLATE = "mailengine_template"
T = TypeVar("T")
Wait = Callable[[Coroutine[Any, Any, Any]], Any]
Connect = Callable[[], Coroutine[Any, Any, asyncpg.Connection]]


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
# Of the connection that looks after a copy. Where it deletes, neither foreign keys nor triggers count. What it asks
# is planned once, when the tables are empty, and would be nested loops over what some test puts into them.
_CARETAKER = {"session_replication_role": "replica", "enable_nestloop": "off"}


class Copy:
    """A migrated database without rows, and a connection of the superuser's that stays: a new one for each test would
    be most of what a test with few statements takes."""

    def __init__(self, name: str, dsn: str, wait: Wait, connect: Connect) -> None:
        self.name, self.dsn = name, dsn
        self._wait, self._connect = wait, connect
        self._caretaker = wait(connect())
        self._shape = self._wait(self._emptied())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if self._caretaker.is_closed():  # by a test that threw everybody out
            self._caretaker = self._wait(self._connect())
        return [tuple(row) for row in self._wait(self._caretaker.fetch(query))]

    def emptied(self) -> bool:
        """Remove all rows; False when a test has changed more than rows, or shut the database."""
        try:
            return bool(self._wait(self._emptied()) == self._shape)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def _emptied(self) -> asyncpg.Record | None:
        ask = self._caretaker
        await ask.fetch(_THROW_OUT)
        filled = dict(await ask.fetch(_FILLED))
        if many := [name for name, size in filled.items() if size > _FEW_BYTES]:
            await ask.execute(f"TRUNCATE {', '.join(many)} CASCADE")
        if filled:
            await ask.execute("; ".join(f"DELETE FROM {name}" for name in filled))
        await ask.fetch(_BEGIN_AGAIN)
        shape: asyncpg.Record | None = await ask.fetchrow(_SHAPE)
        return shape

    def close(self) -> None:
        self._wait(self._caretaker.close())


class Postgres:
    """This worker's hand on the shared server: creates and drops databases."""

    def __init__(self) -> None:
        self.host, self.port = LOOPBACK, int(obtain("postgres_server")["port"])
        self._names = (f"test_{worker_name()}_{number}" for number in count(1))
        # A thread and loop of its own: fixtures are also set up while a test's loop runs.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres-admin")
        self._loop = asyncio.new_event_loop()
        self._admin = self._wait(self._connect("postgres"))
        self._free: list[Copy] = []
        once("postgres-template", self._make_template)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._loop.run_until_complete, work).result()

    async def _connect(self, database: str, **settings: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=self.host,
            port=self.port,
            user="postgres",
            database=database,
            ssl=False,
            server_settings=settings,
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
    def copy(self) -> Iterator[Copy]:
        """A migrated database without rows."""
        copy = self._free.pop() if self._free else self._copy()
        try:
            yield copy
        finally:
            self._take_back(copy)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The DSN of a database without tables."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
        try:
            yield self.dsn(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _copy(self) -> Copy:
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}")
        return Copy(name, self.dsn(name), self._wait, partial(self._connect, name, **_CARETAKER))

    def _take_back(self, copy: Copy) -> None:
        if copy.emptied():
            self._free.append(copy)
        else:
            copy.close()
            self.execute(f"DROP DATABASE {copy.name} WITH (FORCE)")

    def close(self) -> None:
        for copy in self._free:
            copy.close()
        self._wait(self._admin.close())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()
