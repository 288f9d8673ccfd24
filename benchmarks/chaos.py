"""`python -m benchmarks.chaos`: the delivery engine, tested as a database is tested.

Rounds of campaigns through the real daemon, while workers, supervisors, whole daemons, PostgreSQL and the SMTP
server are killed at random moments. After each, the server's log of accepted messages is held against the ledger.
Prints figures, writes benchmarks/results/chaos-*.json, exits with 1 when a rule was broken; the seed and the number
of the round repeat it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # its peers are the tests'

from benchmarks.chaos_mischief import DISTURBANCES, KILLS
from benchmarks.chaos_node import LostNode, lose_node
from benchmarks.chaos_peers import ThrowAwayPostgres
from benchmarks.chaos_round import RESULTS, Round, play
from benchmarks.chaos_stage import Plan
from peers import shared

SEED = 20261122


@dataclass
class Campaigns:
    """All rounds on one database with one number of workers."""

    database: str
    workers: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, Any]:
        done: Counter[str] = Counter()
        statuses: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for each in self.rounds:
            done.update(each.done)
            statuses.update(each.verdict.statuses)
            reasons.update(each.verdict.doubts_by_reason)
        return {
            "database": self.database,
            "workers": self.workers,
            "rounds": len(self.rounds),
            "kills": sum(each.kills for each in self.rounds),
            "kills_by_kind": {name: done[name] for name in KILLS if done[name]},
            "disturbances": {name: done[name] for name in DISTURBANCES if done[name]},
            "others": {name: n for name, n in done.items() if name not in {**KILLS, **DISTURBANCES}},
            "messages": sum(each.verdict.recipients for each in self.rounds),
            "accepted": sum(each.verdict.accepted for each in self.rounds),
            "statuses": dict(statuses),
            "doubts": statuses["doubt"],
            "doubts_accepted": sum(each.verdict.doubts_accepted for each in self.rounds),
            "doubts_allowed": sum(each.losable for each in self.rounds),
            "doubts_by_reason": dict(reasons),
            "doubled": sum(each.verdict.doubled for each in self.rounds),
            "lost": sum(each.verdict.lost for each in self.rounds),
            "transactional": {
                name: sum(getattr(each.messages, name) for each in self.rounds)
                for name in ("queued", "sent", "doubled", "extra", "lost")
            },
            "broken_rounds": sum(bool(each.verdict.faults) for each in self.rounds),
            "seconds": round(sum(each.seconds for each in self.rounds), 1),
        }


def main() -> int:
    options = _arguments()
    chosen = ("sqlite", "postgresql") if options.database == "both" else (options.database,)
    report = Report(options)
    with _run_directory():
        for database in chosen:
            with _server(database) as postgres:
                for workers in (options.workers,) if options.workers else (1, 4):
                    _play(options, Campaigns(database, workers), postgres, report)
                for suspended in (False, True) if postgres is not None else ():
                    assert postgres is not None
                    report.lost_nodes.append(lose_node(postgres, workers=2, suspended=suspended))
                    report.write()
    report.show()
    return int(report.broken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="of each database and number of workers")
    parser.add_argument("--kills", type=int, default=20, help="in a round")
    parser.add_argument("--recipients", type=int, default=5000, help="of a round's campaign")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", type=int, default=1, help="number of the first round, to repeat one")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--workers", type=int, default=0, help="processes; default: 1, then 4")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


@contextmanager
def _run_directory() -> Iterator[None]:
    run = shared.open_run()
    try:
        yield
    finally:
        shared.close_run(run)


@contextmanager
def _server(database: str) -> Iterator[ThrowAwayPostgres | None]:
    if database == "sqlite":
        yield None
        return
    server = ThrowAwayPostgres()
    try:
        yield server
    finally:
        server.close()


def _play(
    options: argparse.Namespace, campaigns: Campaigns, postgres: ThrowAwayPostgres | None, report: "Report"
) -> None:
    report.campaigns.append(campaigns)
    database, workers = campaigns.database, campaigns.workers
    for number in range(options.first, options.first + options.rounds):
        seed = f"{options.seed}:{database}:{workers}:{number}"
        played = play(Plan(database, workers, options.recipients, options.kills, seed), postgres)
        campaigns.rounds.append(played)
        _narrate(number, played)
        report.write()


def _narrate(number: int, played: Round) -> None:
    plan, verdict = played.plan, played.verdict
    said = (
        f"{plan.database} {plan.workers} workers, round {number}: {played.kills} kills, "
        f"{verdict.statuses.get('doubt', 0)} of {played.losable} in doubt, {verdict.doubled} doubled, "
        f"{verdict.lost} lost; of {played.messages.queued} transactional {played.messages.doubled} doubled, "
        f"{played.messages.lost} lost; {played.seconds:g} s"
    )
    for line in (said, *(f"  BROKEN ({plan.seed}) {fault}" for fault in verdict.faults)):
        print(line, file=sys.stderr, flush=True)


class Report:
    """All figures so far; written after each round, so that a run that is broken off was not for nothing."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.campaigns: list[Campaigns] = []
        self.lost_nodes: list[LostNode] = []
        self._options = options
        which = f"{options.database}-{options.workers or 'all'}"
        self._path = RESULTS / f"chaos-{which}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"

    @property
    def broken(self) -> bool:
        rounds = [each.verdict for found in self.campaigns for each in found.rounds]
        return any(verdict.faults for verdict in (*rounds, *(each.verdict for each in self.lost_nodes)))

    @property
    def figures(self) -> dict[str, list[dict[str, Any]]]:
        return {
            "campaigns": [each.figures for each in self.campaigns],
            "lost_nodes": [each.as_json for each in self.lost_nodes],
        }

    def write(self) -> None:
        rounds = [each.as_json for found in self.campaigns for each in found.rounds]
        RESULTS.mkdir(exist_ok=True)
        result = {"seed": self._options.seed, **self.figures, "rounds": rounds}
        self._path.write_text(json.dumps(result, indent=1, default=str))

    def show(self) -> None:
        if self._options.json:
            print(json.dumps(self.figures, indent=1, default=str))
            return
        for part in self.figures.values():
            for found in part:
                print("\n".join(f"{name:18} {value}" for name, value in found.items()), end="\n\n")


if __name__ == "__main__":
    sys.exit(main())
