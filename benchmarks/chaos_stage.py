"""What a round plays on: an installation, its daemon, its servers; and every process that it ever had.

Invariant: whatever mischief leaves behind (suspended, paused, switched off, down), `calm` puts right.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import chaos_ledger
from benchmarks.chaos_messages import Post
from benchmarks.chaos_peers import ChaosSink, ThrowAwayPostgres
from mailengine.domain.delivery.transactional.express import CONNECTIONS as MESSAGE_CONNECTIONS
from mailengine.domain.delivery.transactional.recover import journals
from peers.ports import wait_until
from support.daemon import Daemon, House

ROLES = ("--role", "worker,scheduler")
CONNECTIONS = 5  # of each worker process
_LIMIT_SECONDS = 240  # for a campaign to end once nobody disturbs it


@dataclass(frozen=True, slots=True)
class Plan:
    """One round; the same seed gives the same mischief, at moments that the machine's load moves a little."""

    database: str
    workers: int
    recipients: int
    kills: int
    seed: str
    deadly: float = 0.65  # share of the mischief that kills
    per_second: int = 300  # the SMTP server's pace, so that there is something to disturb


class Stage:
    def __init__(self, plan: Plan, url: str, folder: Path, postgres: ThrowAwayPostgres | None) -> None:
        self.plan, self.url, self.postgres = plan, url, postgres
        self.chance = random.Random(plan.seed)
        delay_ms = 1000 * CONNECTIONS * plan.workers / plan.per_second
        self.sink = ChaosSink(folder, delay_ms=delay_ms, seed=self.chance.randrange(10**6))
        self.house = House(
            url,
            folder,
            MAILENGINE_WORKER_CONNECTIONS=str(CONNECTIONS),
            MAILENGINE_WORKER_PROCESSES=str(plan.workers),
            MAILENGINE_WORKER_DRAIN_SECONDS="5",
        )
        self.counts: Counter[str] = Counter()
        self._starts = 0  # of daemons before this one, by the log
        self.losable = 0  # replies that what was done may have lost
        self._processes: set[psutil.Process] = set()
        self._suspended: dict[psutil.Process, float] = {}
        self.house.campaign(plan.recipients, self.sink.port)
        self.post = Post(url)
        self.daemon = self.new_daemon()

    @property
    def wire_folder(self) -> Path:
        return self.house.folder / "wire"

    # Processes

    def new_daemon(self) -> Daemon:
        self._starts = self._started()
        self.daemon = Daemon(self.house, ROLES)
        self._processes.add(psutil.Process(self.daemon.process.pid))
        return self.daemon

    def _started(self) -> int:
        """How many daemons said that they started. Lines may be broken: who is killed may be writing one."""
        return self.house.log.read_bytes().count(b'"event": "started"') if self.house.log.exists() else 0

    def ensure_daemon(self) -> None:
        """As a service manager would: one that gave up is started again."""
        if self.daemon.process.poll() is not None:
            self.counts["daemon ended by itself"] += 1
            self.replace_daemon()

    def replace_daemon(self) -> None:
        """A new one after one that has ended; workers of that may still be busy with their last replies."""
        self.daemon.process.stdin.close()
        self.new_daemon()

    def workers(self) -> list[psutil.Process]:
        """The current daemon's living worker processes."""
        found = self.daemon.workers()
        self._processes.update(found)
        return found

    def living(self) -> list[psutil.Process]:
        """All that still run, also of daemons that were killed."""
        self.workers()
        return [process for process in self._processes if _runs(process)]

    def risk_connections(self, processes: int) -> None:
        """So many processes may just have lost the replies to all that was on their wires."""
        self.losable += (CONNECTIONS + MESSAGE_CONNECTIONS) * processes

    def suspend(self, process: psutil.Process, seconds: float) -> None:
        process.suspend()
        self._suspended[process] = time.monotonic() + seconds

    def wake(self, *, everybody: bool = False) -> None:
        """Continue those whose time is over."""
        now = time.monotonic()
        for process, until in list(self._suspended.items()):
            if everybody or now >= until:
                del self._suspended[process]
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    # Waiting

    def sleep(self, seconds: float) -> None:
        """Let it run, or until the campaign sends, whichever the moment needs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wake()
            time.sleep(0.005)

    def wait_for_progress(self, messages: int, seconds: float) -> None:
        """Until so many more were accepted; a campaign that is held makes none."""
        goal, until = self.sink.accepted() + messages, time.monotonic() + seconds
        while self.sink.accepted() < goal and time.monotonic() < until:
            self.sleep(0.02)

    def command(self, *arguments: str) -> bool:
        """Say it on the command line; False when it was refused."""
        done = self.house.program.run(*arguments).code == 0
        self.counts["commands" if done else "commands refused"] += 1
        return done

    # The end

    def calm(self) -> None:
        """Put everything right, and let the campaign end."""
        self.sink.feel()
        self.wake(everybody=True)
        self.command("kill-switch", "off")
        until = time.monotonic() + _LIMIT_SECONDS
        while time.monotonic() < until:
            state = self.house.state()
            if state == "sent" and self.post.ended():
                return
            if state == "paused":
                self.command("campaign", "resume", "Spring")
            self.ensure_daemon()
            chaos_ledger.hasten(self.url)
            self.sleep(0.5)

    def end(self) -> list[str]:
        """Drain the daemon; returns what it left behind or did wrong."""
        faults = []
        self.ensure_daemon()
        wait_until(lambda: self._started() > self._starts, "the daemon has started", 120)
        code = self.daemon.end()
        if code != 0:
            faults.append(f"a drained daemon ended with {code}")
        with suppress(TimeoutError):
            wait_until(lambda: not self.living(), "all processes have ended", 30)
        faults += [f"a process was left: {_line(process)}" for process in self.living()]
        for folder in (self.wire_folder, journals(self.wire_folder)):
            faults += [f"a journal was left: {name}" for name in chaos_ledger.left_in(folder)]
        return faults

    def close(self) -> None:
        self.wake(everybody=True)
        self.daemon.kill()
        _kill(self.living())
        self.sink.stop()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _line(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[-60:]}"
    except psutil.Error:
        return str(process.pid)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


Mischief = Callable[[Stage], bool]
