"""A machine that never comes back, or comes back late: two data directories are two machines on one PostgreSQL.

The claims of the lost one are settled by the other when their leases are over. Those last ten minutes; here the
database is told that they have passed.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import chaos_ledger
from benchmarks.chaos_ledger import Verdict
from benchmarks.chaos_peers import ThrowAwayPostgres
from benchmarks.chaos_stage import CONNECTIONS, ROLES
from mailengine.domain.delivery.recover import DOUBT_OTHER_MACHINE
from peers.ports import wait_until
from peers.sink import CountingSink
from support.daemon import Daemon, House

RECIPIENTS = 4000
_LATEST_SECONDS = 180
_CLAIMS_HELD = 2  # by a worker and campaign: the one that ends, and the next


@dataclass(frozen=True, slots=True)
class LostNode:
    """`held`: what the lost machine had claimed; `claims`: how many claims of it went into doubt."""

    workers: int
    suspended: bool
    held: int
    claims: int
    verdict: Verdict

    @property
    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def lose_node(postgres: ThrowAwayPostgres, *, workers: int, suspended: bool) -> LostNode:
    """Lose one of two machines in mid-campaign: for good, or (`suspended`) until its claims were given up."""
    with postgres.database() as url, tempfile.TemporaryDirectory(prefix="mailengine-chaos-") as name:
        stays, goes = (_machine(url, Path(name) / each, workers) for each in ("stays", "goes"))
        sink = CountingSink(Path(name) / "accepted.log", delay_ms=1000 * CONNECTIONS * workers / 300)
        stays.campaign(RECIPIENTS, sink.port)
        try:
            return _lose(url, stays, goes, sink, workers=workers, suspended=suspended)
        finally:
            sink.stop()


def _machine(url: str, folder: Path, workers: int) -> House:
    folder.mkdir()
    return House(
        url,
        folder,
        MAILENGINE_WORKER_CONNECTIONS=str(CONNECTIONS),
        MAILENGINE_WORKER_PROCESSES=str(workers),
    )


def _lose(
    url: str, stays: House, goes: House, sink: CountingSink, *, workers: int, suspended: bool
) -> LostNode:
    with stays.daemon(*ROLES) as staying, goes.daemon(*ROLES) as going:
        wait_until(lambda: len(going.workers()) == workers, "the second machine sends", 60)
        sink.wait_for(sink.accepted() + 600)
        _take_away(going, suspended=suspended)
        node = (goes.folder / "node.id").read_text().strip()
        held = chaos_ledger.end_leases(url, node)
        wait_until(lambda: _settled(url), "its claims are settled", _LATEST_SECONDS)
        for process in going.workers() if suspended else ():
            process.resume()  # it still believes in its claims: nothing that it writes may count
        stays.wait_for_state("sent", _LATEST_SECONDS)
        assert staying.end() == 0
        if suspended:
            going.process.send_signal(18)
            assert going.end() == 0
    ledger = chaos_ledger.read(url)
    verdict = chaos_ledger.compare(ledger, sink.received(), RECIPIENTS, other_machine=True)
    given_up = [task for task in ledger.tasks.values() if task.last_reply == DOUBT_OTHER_MACHINE]
    claims = len({task.claim_token for task in given_up})
    most = _CLAIMS_HELD * workers
    verdict.fault(f"more than {most} claims of a machine are in doubt", range(max(0, claims - most)))
    verdict.fault("more is in doubt than it held", range(max(0, len(given_up) - held)))
    return LostNode(workers, suspended, held, claims, verdict)


def _take_away(machine: Daemon, *, suspended: bool) -> None:
    if not suspended:
        machine.kill()
        return
    machine.process.send_signal(19)
    for worker in machine.workers():
        worker.suspend()


def _settled(url: str) -> bool:
    tasks = chaos_ledger.read(url).tasks.values()
    return any(task.last_reply == DOUBT_OTHER_MACHINE for task in tasks)
