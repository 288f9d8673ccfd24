"""What the benchmarks of sending share: servers to send to, databases, and how far a campaign is."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.house import House
from peers import shared
from peers.availability import LACKING
from peers.postgres import Postgres
from peers.sink import SmtpSink

Url = Callable[[], str | None]
CONNECTIONS = 10  # of a worker process, as by default
SAMPLE_SECONDS = 0.1
LIMIT_SECONDS = 1800.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def sink() -> Iterator[SmtpSink]:
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        started = SmtpSink(Path(folder) / "log")
        try:
            yield started
        finally:
            started.stop()


@contextmanager
def postgres() -> Iterator[Postgres | None]:
    """A throw-away server without fsync, but vacuumed as in life; None where there is none."""
    with ExitStack() as stack:
        stack.callback(shared.close_run, shared.open_run())
        if LACKING["postgres"]() is not None:
            yield None
            return
        server = Postgres()
        stack.callback(server.close)
        server.execute("ALTER SYSTEM SET autovacuum = on")
        server.execute("SELECT pg_reload_conf()")
        yield server


@contextmanager
def databases() -> Iterator[list[tuple[str, Url]]]:
    """SQLite, and PostgreSQL where there is one; each call of an url makes a database."""
    found: list[tuple[str, Url]] = [("SQLite", lambda: None)]
    with postgres() as server, ExitStack() as stack:
        if server is not None:
            found.append(("PostgreSQL", lambda: stack.enter_context(server.empty())))
        yield found


async def reached(made: House, number: int) -> tuple[int, float]:
    """Wait until so many recipients have an outcome; how many have, and when that was seen."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            done = await made.done()
            if done >= number:
                return done, time.perf_counter()
            await asyncio.sleep(SAMPLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all below it: processor time so far and memory now."""

    cpu_seconds: float
    memory_bytes: int


def usage(pid: int) -> Usage:
    """From /proc; processes that have ended are in their parent's times."""
    seconds, memory = 0.0, 0
    for each in _tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            memory += _private_bytes(each)
        except OSError:
            continue
        seconds += sum(int(field) for field in fields[11:15]) / _TICKS
    return Usage(seconds, memory)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process and all below it stand still, and are none the worse for it."""
    tree = _tree(pid)
    _signal(tree, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(tree, signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, number)


def _tree(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def _private_bytes(pid: int) -> int:
    """Without the pages that map files: those of a database or of programs are the page cache's."""
    resident, shared_pages = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    return (int(resident) - int(shared_pages)) * _PAGE
