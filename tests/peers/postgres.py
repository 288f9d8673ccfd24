"""A worker's databases on the session's PostgreSQL (`postgres_server`).

Invariants: tests connect as `mailengine_app`, which is neither superuser nor BYPASSRLS, so that row-level
security holds for it (on tables it owns: with FORCE). Every test has a database of its own, a copy of the
template that `template.prepare_template` filled once.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import asyncpg

from peers.ports import LOOPBACK
from peers.shared import obtain, once, worker_name
from peers.template import prepare_template

ROLE = "mailengine_app"
TEMPLATE = "mailengine_template"
T = TypeVar("T")


class Postgres:
    """This worker's hand on the shared server: creates and drops databases."""

    def __init__(self) -> None:
        self.host, self.port = LOOPBACK, int(obtain("postgres_server")["port"])
        self._names = (f"test_{worker_name()}_{number}" for number in count(1))
        # A thread and loop of its own: fixtures are also set up while a test's loop runs.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres-admin")
        self._loop = asyncio.new_event_loop()
        self._admin = self._wait(
            asyncpg.connect(host=self.host, port=self.port, user="postgres", database="postgres", ssl=False)
        )
        once("postgres-template", self._make_template)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._loop.run_until_complete, work).result()

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
        """The DSN of a fresh database: a copy of the template, or an empty one."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'} OWNER {ROLE}")
        try:
            yield self.dsn(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._wait(self._admin.close())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()
