"""One round: a campaign, mischief at random moments until enough was killed, calm, and the verdict."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import chaos_ledger
from benchmarks.chaos_ledger import Verdict
from benchmarks.chaos_messages import MessageFigures, is_message
from benchmarks.chaos_mischief import DISTURBANCES, KILLS
from benchmarks.chaos_peers import ThrowAwayPostgres
from benchmarks.chaos_stage import Plan, Stage
from peers.template import copy_sqlite

RESULTS = Path(__file__).with_name("results")
MESSAGES = 6  # fewer transactional ones are queued before each mischief
_NOT_EVERYWHERE = "crash postgresql"
_PATIENCE_SECONDS = 20.0  # a daemon on a busy machine takes a while to start


@dataclass(frozen=True, slots=True)
class Round:
    """What was done, and what came of it."""

    plan: Plan
    done: dict[str, int]
    losable: int
    verdict: Verdict
    messages: MessageFigures
    seconds: float

    @property
    def kills(self) -> int:
        return sum(self.done.get(name, 0) for name in KILLS)

    @property
    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kills": self.kills}


def play(plan: Plan, postgres: ThrowAwayPostgres | None) -> Round:
    """Play it in a directory of its own, which is kept below `results` when a rule was broken."""
    began = time.monotonic()
    with ExitStack() as kept, tempfile.TemporaryDirectory(prefix="mailengine-chaos-") as name:
        folder = Path(name)
        url = kept.enter_context(_database(folder, postgres))
        stage = Stage(plan, url, folder, postgres)
        kept.callback(stage.close)
        _disturb(stage)
        stage.calm()
        left = stage.end()
        accepted = stage.sink.envelopes()
        received = Counter(who for each in accepted for who in each.recipients if not is_message(who))
        verdict = chaos_ledger.compare(chaos_ledger.read(url), received, plan.recipients)
        verdict.faults += left
        messages = stage.post.judge([each for each in accepted if is_message(each.recipients[0])], verdict)
        losable = stage.losable + stage.sink.drops()
        verdict.fault(
            f"more in doubt or doubled than the {losable} replies that may be lost",
            range(max(0, verdict.statuses.get("doubt", 0) + messages.extra - losable)),
        )
        if verdict.faults:
            _keep(plan, folder)
    return Round(plan, dict(stage.counts), losable, verdict, messages, round(time.monotonic() - began, 1))


@contextmanager
def _database(folder: Path, postgres: ThrowAwayPostgres | None) -> Iterator[str]:
    if postgres is None:
        yield copy_sqlite(folder / "chaos.sqlite3")
    else:
        with postgres.database() as dsn:
            yield dsn


def _disturb(stage: Stage) -> None:
    chance, killed = stage.chance, 0
    enough = int(stage.plan.recipients * 0.95)  # the rest may wait for its next try
    while killed < stage.plan.kills and stage.sink.accepted() < enough:
        if chance.random() < 0.85:  # else: while it starts, recovers, or is held
            stage.wait_for_progress(chance.randrange(1, 120), _PATIENCE_SECONDS)
        stage.sleep(chance.random() * chance.choice((0.02, 0.02, 1)))
        stage.ensure_daemon()
        stage.post.queue(chance.randrange(1, MESSAGES))
        deadly = chance.random() < stage.plan.deadly
        name = _draw(stage, deadly=deadly)
        table = KILLS if deadly else DISTURBANCES
        if table[name][0](stage):
            stage.counts[name] += 1
            killed += deadly


def _draw(stage: Stage, *, deadly: bool) -> str:
    table = KILLS if deadly else DISTURBANCES
    names = [name for name in table if stage.postgres is not None or name != _NOT_EVERYWHERE]
    return stage.chance.choices(names, [table[name][1] for name in names])[0]


def _keep(plan: Plan, folder: Path) -> None:
    """The evidence: logs of the daemon and of the server, the database where it is a file."""
    target = RESULTS / f"chaos-failed-{plan.seed.replace(':', '-')}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
