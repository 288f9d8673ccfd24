"""The real daemon in processes of its own, and what became of a campaign by two ledgers: ours and the sink's."""

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from mailengine.core.clock import ManualClock, SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.core.ids import CampaignId
from mailengine.db.engine import sqlite_path
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.models import Campaign, EmailTask
from peers.forked_program import ForkedProgram
from peers.ports import wait_until
from peers.postgres import Postgres
from peers.sink import CountingSink
from support.program import Program
from support.world import INSTANCE, a_world

SELDOM_SECONDS = 0.1  # a look at the database costs as much as sending fifty messages
SECRET = (b"s" * 32).hex()  # the one of a world's keyring


class House:
    """An installation with one campaign, commands on it, and daemons that are started and killed."""

    def __init__(self, url: str, folder: Path, **environment: str) -> None:
        self.url, self.folder = url, folder
        self.log = folder / "daemon.log"
        self.environment = {
            "MAILENGINE_DATABASE_URL": url,
            "MAILENGINE_SECRET_KEY": SECRET,
            "MAILENGINE_WEB_PORT": "0",
            "MAILENGINE_LOG_JSON_LINES": "true",
            **environment,
        }
        self.program = Program(folder, **self.environment)

    def campaign(self, count: int, port: int, *, launched: bool = True) -> CampaignId:
        """`Spring`, for so many contacts, by the relay on that port."""

        async def made() -> CampaignId:
            async with a_world(self.url, self.folder) as world:
                world.clock = ManualClock(SystemClock().now())
                await world.people(count)
                await world.relay(port)
                campaign_id = await world.draft()
                if launched:
                    await world.launch(campaign_id, expand=False)
                return campaign_id

        return asyncio.run(made())

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator["Daemon"]:
        """A daemon that is gone, with all its workers, when the block is left."""
        daemon = Daemon(self, arguments)
        try:
            yield daemon
        finally:
            daemon.kill()

    def statuses(self) -> dict[str, str]:
        """What our ledger says of each recipient."""
        tasks = table_of(EmailTask).c
        return dict(self._rows(sa.select(tasks.email, tasks.status)))

    def tally(self) -> dict[str, int]:
        """How many recipients there are of each status."""
        status = table_of(EmailTask).c.status
        return dict(self._rows(sa.select(status, sa.func.count()).group_by(status)))

    def state(self) -> str:
        (row,) = self._rows(sa.select(table_of(Campaign).c.state))
        return str(row[0])

    def wait_for_state(self, state: str, seconds: float = 90) -> None:
        wait_until(lambda: self.state() == state, f"the campaign is {state}", seconds, every=SELDOM_SECONDS)

    def wait_for_tally(self, right: Callable[[dict[str, int]], bool], what: str) -> None:
        wait_until(lambda: right(self.tally()), what, 60, every=SELDOM_SECONDS)

    def wait_for_tasks(self, count: int) -> None:
        self.wait_for_tally(lambda tally: sum(tally.values()) >= count, f"{count} recipients are found")

    def wait_for_expansion(self) -> None:
        expanded_at = table_of(Campaign).c.expanded_at
        wait_until(lambda: self._rows(sa.select(expanded_at))[0][0], "all recipients are found", 60)

    def _rows(self, query: Any) -> list[Any]:
        path = sqlite_path(self.url)
        if path is not None:
            # Without engines and threads: a look that is had ten times a second would take a tenth of a core.
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=15)) as connection:
                return connection.execute(str(query.compile(dialect=sqlite.dialect()))).fetchall()

        async def read() -> list[Any]:
            db = Database(self.url, DatabaseSettings())
            try:
                async with db.read(INSTANCE) as tx:
                    return list(await tx.execute(query))
            finally:
                await db.close()

        return asyncio.run(read())

    def said(self) -> list[dict[str, Any]]:
        """The daemons' log so far, an object a line."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.said() if line["event"] == event]


@contextmanager
def elsewhere(house: House, folder: Path, postgres: Postgres) -> Iterator[House]:
    """A house on another machine, with nothing in it: same settings, another directory and an empty database."""
    with ExitStack() as stack:
        if house.url.startswith("sqlite"):
            url = f"sqlite+aiosqlite:///{folder / 'mailengine.sqlite3'}"
        else:
            url = stack.enter_context(postgres.empty())
        folder.mkdir()
        yield House(
            url, folder, **{k: v for k, v in house.environment.items() if k != "MAILENGINE_DATABASE_URL"}
        )


class Daemon:
    """`mailengine daemon`, leader of its process group; it dies with the test."""

    def __init__(self, house: House, arguments: tuple[str, ...] = ()) -> None:
        self.house = house
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILENGINE_WEB")}
        environment = {**kept, "MAILENGINE_DATA_DIR": str(house.folder), **house.environment}
        with house.log.open("ab") as log:
            self.process = ForkedProgram(["daemon", "--with-stdin", *arguments], env=environment, stderr=log)
        self._workers: set[psutil.Process] = set()

    def workers(self) -> list[psutil.Process]:
        """The living worker processes."""
        with suppress(psutil.NoSuchProcess):
            forks = psutil.Process(self.process.pid).children()
            found = [worker for nursery in forks for worker in nursery.children()]
            self._workers |= set(found)
            return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]
        return []

    def end(self, signum: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Ask it to end and return its exit code."""
        self.workers()
        self.process.send_signal(signum)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """The whole group at once, as a power cut would."""
        self.workers()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def kill_supervisor(self) -> None:
        self.workers()
        self.process.kill()
        self._reap()

    def kill_worker(self) -> bool:
        """One of its workers; False when it has none."""
        for worker in self.workers()[:1]:
            worker.kill()
            return True
        return False

    def _reap(self) -> None:
        self.process.wait(10)
        self.process.stdin.close()

    def wait_for_end_of_workers(self, seconds: float = 60) -> None:
        wait_until(lambda: not any(map(_runs, self._workers)), "the workers have ended", seconds)

    def url(self) -> str:
        """Where it serves, as soon as it says so."""
        path = self.house.folder / "daemon.json"
        found: dict[str, Any] = {}

        def announced() -> bool:
            assert self.process.poll() is None, self.house.log.read_text()
            with suppress(OSError, ValueError):
                found.update(json.loads(path.read_text()))
            return found.get("pid") == self.process.pid

        wait_until(announced, "the daemon serves", 60)
        return str(found["url"])


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def compare(house: House, sink: CountingSink) -> set[str]:
    """Hold our ledger against the sink's; returns who is in doubt.

    Nobody got two; who is recorded as sent got one; who is in doubt got one or none; nobody else got any.
    """
    received, statuses = sink.received(), house.statuses()
    doubled = {address: count for address, count in received.items() if count > 1}
    assert not doubled, f"got more than one: {doubled}"
    doubtful = {address for address, status in statuses.items() if status == "doubt"}
    sent = {address for address, status in statuses.items() if status == "sent"}
    lost = sent - received.keys()
    assert not lost, f"recorded as sent, but got none: {sorted(lost)[:10]}"
    unrecorded = received.keys() - sent - doubtful
    assert not unrecorded, f"got one, but the ledger does not say so: {sorted(unrecorded)[:10]}"
    return doubtful
