"""A machine that never comes back, or comes back late: two data directories are two machines on one PostgreSQL.

The claims of the lost one are settled by the other when their leases are over. Those last ten minutes; here the
database is told that they have passed.
"""

import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import chaos_ledger
from benchmarks.chaos_ledger import Ledger, Verdict
from benchmarks.chaos_peers import ThrowAwayPostgres
from benchmarks.chaos_stage import CONNECTIONS, ROLES
from mailengine.domain.delivery.recover import DOUBT_OTHER_MACHINE
from peers.ports import wait_until
from peers.sink import CountingSink
from support.daemon import Daemon, House

RECIPIENTS = 4000
_PER_SECOND = 300  # the SMTP server's pace
_LATEST_SECONDS = 180
_BATCH_SIZE = 160  # of a worker: less than a second's work, and so what bounds its claims


@dataclass(frozen=True, slots=True)
class LostNode:
    """`held`: tasks that the lost machine had claimed; `claims`: how many claims of it went into doubt."""

    workers: int
    suspended: bool
    held: int
    claims: int
    verdict: Verdict

    @property
    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def lose_node(
    postgres: ThrowAwayPostgres, *, workers: int, suspended: bool, recipients: int = RECIPIENTS
) -> LostNode:
    """Lose one of two machines in mid-campaign: for good, or (`suspended`) until its claims were given up."""
    with postgres.database() as url, tempfile.TemporaryDirectory(prefix="mailengine-chaos-") as name:
        stays, goes = (_machine(url, Path(name) / each, workers) for each in ("stays", "goes"))
        delay_ms = 1000 * CONNECTIONS * workers / _PER_SECOND
        sink = CountingSink(Path(name) / "accepted.log", delay_ms=delay_ms)
        stays.campaign(recipients, sink.port)
        try:
            held = _lose(url, stays, goes, suspended=suspended)
        finally:
            sink.stop()
        ledger, received = chaos_ledger.read(url), sink.received()
    verdict = chaos_ledger.compare(ledger, received, recipients, other_machine=True)
    return _judged(LostNode(workers, suspended, held, len(_given_up(ledger)), verdict))


def _machine(url: str, folder: Path, workers: int) -> House:
    folder.mkdir()
    return House(
        url,
        folder,
        MAILENGINE_WORKER_BATCH_SIZE=str(_BATCH_SIZE),
        MAILENGINE_WORKER_CONNECTIONS=str(CONNECTIONS),
        MAILENGINE_WORKER_PROCESSES=str(workers),
    )


def _lose(url: str, stays: House, goes: House, *, suspended: bool) -> int:
    """Returns how many tasks the lost machine had claimed."""
    with goes.daemon(*ROLES) as going:
        node = goes.folder / "node.id"
        wait_until(node.exists, "the machine that will be lost has started", 60)
        name = node.read_text().strip()
        wait_until(lambda: chaos_ledger.held_by(url, name) > 0, "it has claimed", 60)
        with stays.daemon(*ROLES) as staying:
            wait_until(staying.workers, "the other machine sends", 60)
            _take_away(going, suspended=suspended)
            held = chaos_ledger.end_leases(url, name)
            wait_until(lambda: chaos_ledger.given_up(url) > 0, "its claims are settled", _LATEST_SECONDS)
            if suspended:
                _bring_back(going)
            stays.wait_for_state("sent", _LATEST_SECONDS)
            assert staying.end() == 0
        if suspended:
            assert going.end() == 0
    return held


def _take_away(machine: Daemon, *, suspended: bool) -> None:
    if suspended:
        machine.process.send_signal(signal.SIGSTOP)
        for worker in machine.workers():
            worker.suspend()
    else:
        machine.kill()


def _bring_back(machine: Daemon) -> None:
    """It still believes in its claims: what it sends of them is in doubt, what it writes must not count."""
    for worker in machine.workers():
        worker.resume()
    machine.process.send_signal(signal.SIGCONT)


def _given_up(ledger: Ledger) -> set[str | None]:
    """The claims in doubt because their machine did not come back."""
    tasks = ledger.tasks.values()
    return {task.claim_token for task in tasks if task.last_reply == DOUBT_OTHER_MACHINE}


def _judged(lost: LostNode) -> LostNode:
    most, doubts = _BATCH_SIZE * lost.workers, lost.verdict.statuses.get("doubt", 0)
    lost.verdict.fault(f"more than {most} messages of a machine in doubt", range(max(0, doubts - most)))
    lost.verdict.fault("more in doubt than it held", range(max(0, doubts - lost.held)))
    return lost
