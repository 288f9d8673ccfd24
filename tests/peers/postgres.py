"""One PostgreSQL for all workers of a session, as a non-root user, without fsync.

Invariants: tests connect as `mailengine_app`, which is neither superuser nor BYPASSRLS, so that row-level
security holds for it (on tables it owns: with FORCE). Every test has a database of its own, a copy of the
template that `template.prepare_template` filled once.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from peers.ports import LOOPBACK
from peers.processes import spawn
from peers.shared import obtain, once, worker_name
from peers.started import Started, on_free_port
from peers.template import prepare_template

ROLE = "mailengine_app"
TEMPLATE = "mailengine_template"
T = TypeVar("T")
# Durability is not under test here, and fsync would be most of the time of every transaction.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
}


def programs() -> Path | None:
    """The directory of the newest PostgreSQL's programs."""
    packaged = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if packaged:
        return max(packaged, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def lacking() -> str | None:
    if programs() is None:
        return "no PostgreSQL server"
    return "no non-root user to run it" if os.geteuid() == 0 and not _unprivileged() else None


def _unprivileged() -> pwd.struct_passwd | None:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")


def start(directory: Path) -> Started:
    """initdb refuses root, so that all of it runs as the distribution's user when we are root."""
    who: dict[str, Any] = {}
    if os.geteuid() == 0 and (entry := _unprivileged()):
        who = {"user": entry.pw_name, "group": entry.pw_gid}
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    bin_, data, log = programs(), directory / "data", directory.with_name("postgres-server.log")
    assert bin_ is not None
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run([bin_ / "initdb", "-D", data, *options], check=True, cwd="/", **who)

    def launch(port: int) -> "subprocess.Popen[bytes]":
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [bin_ / "postgres", "-D", data, "-p", str(port), "-h", LOOPBACK, "-k", directory, *settings]
        with log.open("ab") as handle:
            return spawn(command, log=handle, parent_death=signal.SIGQUIT, **who)

    process, port = on_free_port(launch, "PostgreSQL", log)
    # SIGINT is PostgreSQL's fast shutdown: sessions that a test left open do not hold it up.
    return Started(process, {"port": port}, stop_signal=signal.SIGINT)


class Postgres:
    """This worker's hand on the shared server: creates and drops databases."""

    def __init__(self) -> None:
        self.host, self.port = LOOPBACK, int(obtain("postgres")["port"])
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
