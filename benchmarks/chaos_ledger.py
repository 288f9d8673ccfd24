"""Our ledger after a round, held against the log of the server: what must never be, with the rows that are so."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from benchmarks.chaos_sink import exists
from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.delivery.recover import DOUBT_OTHER_MACHINE
from mailengine.domain.integrity import Violation, violations
from mailengine.models import Campaign, DeadLetter, EmailTask, Message
from support.world import INSTANCE

T = TypeVar("T")
_EXAMPLES = 5
# Recovery may say these of one message; of a whole claim (journal missing, other boot) nothing here allows it.
_ONE_MESSAGE = "the worker died"


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the ledger."""

    id: int
    email: str
    status: str
    last_reply: str
    claim_token: str | None
    attempts: int
    has_dead_letter: bool


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the database says."""

    state: str
    tasks: dict[str, Task]
    broken: list[Violation]


@dataclass(slots=True)
class Verdict:
    """Figures of a comparison and, in `faults`, every rule that was broken with its first offenders."""

    recipients: int = 0
    accepted: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    doubts_by_reason: dict[str, int] = field(default_factory=dict)
    doubts_accepted: int = 0
    doubled: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, rule: str, offenders: Iterable[object]) -> int:
        """Note the rule when there are offenders; returns how many."""
        rows = list(offenders)
        if rows:
            self.faults.append(f"{rule}: {len(rows)}, such as {rows[:_EXAMPLES]}")
        return len(rows)


def read(url: str) -> Ledger:
    return asyncio.run(in_database(url, _read))


def hasten(url: str) -> None:
    """Let the time of every later try be now, so that no round waits for backoff."""
    asyncio.run(in_database(url, _hasten))


def end_leases(url: str, node: str) -> int:
    """Let the leases of what that machine claims be over; returns how many tasks it holds."""

    async def end(db: Database) -> int:
        tasks = table_of(EmailTask)
        async with db.write(INSTANCE) as tx:
            ended = await tx.execute(
                sa.update(tasks)
                .where(*_claimed_by(node))
                .values(lease_until=sa.literal(SystemClock().now(), tasks.c.lease_until.type))
                .returning(tasks.c.id)
            )
            return len(ended.all())

    return asyncio.run(in_database(url, end))


def held_by(url: str, node: str) -> int:
    """How many tasks that machine has claimed."""

    async def count(db: Database) -> int:
        async with db.read(INSTANCE) as tx:
            query = sa.select(sa.func.count()).select_from(table_of(EmailTask)).where(*_claimed_by(node))
            return int((await tx.execute(query)).scalar_one())

    return asyncio.run(in_database(url, count))


def given_up(url: str) -> int:
    """How many tasks are in doubt because their machine did not come back."""

    async def count(db: Database) -> int:
        async with db.read(INSTANCE) as tx:
            lost = table_of(EmailTask).c.last_reply == DOUBT_OTHER_MACHINE
            query = sa.select(sa.func.count()).select_from(table_of(EmailTask)).where(lost)
            return int((await tx.execute(query)).scalar_one())

    return asyncio.run(in_database(url, count))


def _claimed_by(node: str) -> tuple[sa.ColumnElement[bool], ...]:
    tasks = table_of(EmailTask).c
    return (tasks.status == "claimed", tasks.locked_by.startswith(f"{node}:"))


def compare(
    ledger: Ledger, received: Counter[str], recipients: int, *, other_machine: bool = False
) -> Verdict:
    """Nobody got two; accepted is sent or in doubt; not accepted has ended otherwise, with a reason."""
    tasks = ledger.tasks
    verdict = Verdict(recipients=recipients, accepted=len(received))
    verdict.statuses = dict(Counter(task.status for task in tasks.values()))
    doubts = [task for task in tasks.values() if task.status == "doubt"]
    verdict.doubts_by_reason = dict(Counter(task.last_reply for task in doubts))
    verdict.doubts_accepted = sum(task.email in received for task in doubts)
    verdict.doubled = verdict.fault("got two", ((who, n) for who, n in received.items() if n > 1))
    verdict.lost = verdict.fault(
        "recorded as sent, never accepted",
        (task for task in tasks.values() if task.status == "sent" and task.email not in received),
    )
    verdict.fault(
        "accepted, neither sent nor in doubt",
        (tasks.get(who, who) for who in received if who not in tasks or tasks[who].status not in _REACHED),
    )
    verdict.fault(
        "failed or skipped without a reason", (task for task in tasks.values() if _unexplained(task))
    )
    verdict.fault("has no outcome", (task for task in tasks.values() if task.status in ("queued", "claimed")))
    verdict.fault(
        "in doubt with its whole claim", (task for task in doubts if _whole_claim(task, other_machine))
    )
    verdict.fault("invariants", ledger.broken)
    verdict.fault("campaign has not ended", [ledger.state] if ledger.state != "sent" else [])
    verdict.fault("number of tasks", [len(tasks)] if len(tasks) != recipients else [])
    return verdict


_REACHED = ("sent", "doubt")


def _unexplained(task: Task) -> bool:
    match task.status:
        case "failed":
            # Nothing but a mailbox that does not exist is refused for good within a round.
            return not task.has_dead_letter or not task.last_reply or exists(task.email)
        case "skipped":
            return not task.last_reply
    return False


def _whole_claim(task: Task, other_machine: bool) -> bool:
    if other_machine and task.last_reply == DOUBT_OTHER_MACHINE:
        return False
    recovered = ("journal", "machine")
    return any(word in task.last_reply for word in recovered) and _ONE_MESSAGE not in task.last_reply


def left_in(wire_folder: Path) -> list[str]:
    return sorted(path.name for path in wire_folder.iterdir()) if wire_folder.exists() else []


async def in_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` returns on a connection of its own."""
    db = Database(url, DatabaseSettings())
    try:
        return await work(db)
    finally:
        await db.close()


async def _read(db: Database) -> Ledger:
    tasks, letters = table_of(EmailTask).c, table_of(DeadLetter).c
    query = sa.select(
        tasks.id, tasks.email, tasks.status, tasks.last_reply, tasks.claim_token, tasks.attempts,
        sa.exists().where(letters.task_id == tasks.id).label("has_dead_letter"),
    )  # fmt: skip
    async with db.read(INSTANCE) as tx:
        rows = {row.email: Task(*row) for row in await tx.execute(query)}
        state = await tx.scalar(sa.select(table_of(Campaign).c.state))
        return Ledger(str(state), rows, await violations(tx, INSTANCE))


async def _hasten(db: Database) -> None:
    now = SystemClock().now()
    async with db.write(INSTANCE) as tx:
        for queue in (table_of(EmailTask), table_of(Message)):
            await tx.execute(
                sa.update(queue)
                .where(queue.c.status == "queued", queue.c.scheduled_at > now)
                .values(scheduled_at=now)
            )
