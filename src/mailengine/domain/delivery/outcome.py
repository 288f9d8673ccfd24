"""What became of claimed tasks, written in batches and only under the claim token.

One UPDATE takes a whole batch, so that its cost is one statement whatever the mix of outcomes; which rows
still carried the token decides which counters, dead letters and contacts change.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.packed import Packed
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts.states import mark_bounced
from mailengine.domain.delivery.backoff import next_try
from mailengine.domain.delivery.claim import ClaimedTask, of_claim
from mailengine.mail.replies import Verdict
from mailengine.models import CampaignTotals, DeadLetter, EmailTask, TaskStatus

_REPLY_CHARS = 1000


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Outcome:
    """The next state of one claimed task, and what the server said."""

    task: ClaimedTask
    status: TaskStatus
    words: str = ""
    tried: bool = False  # counts as an attempt
    due: datetime | None = None  # when a deferred task is tried again; None leaves the time as it was
    verdict: Verdict | None = None  # for a failure
    code: int = 0  # of the server's refusal, where one answered


def sent(task: ClaimedTask, words: str) -> Outcome:
    return Outcome(task, TaskStatus.SENT, words, tried=True)


def released(task: ClaimedTask) -> Outcome:
    """Never on the wire: back to the queue as if it had not been claimed."""
    return Outcome(task, TaskStatus.QUEUED)


def held(task: ClaimedTask, due: datetime, reason: str) -> Outcome:
    """Not now, through no fault of the message: back to the queue for later."""
    return Outcome(task, TaskStatus.QUEUED, reason, due=due)


def skipped(task: ClaimedTask, reason: str) -> Outcome:
    return Outcome(task, TaskStatus.SKIPPED, reason)


def doubtful(task: ClaimedTask, reason: str) -> Outcome:
    return Outcome(task, TaskStatus.DOUBT, reason, tried=True)


def failed(task: ClaimedTask, verdict: Verdict) -> Outcome:
    return Outcome(task, TaskStatus.FAILED, verdict.text, tried=True, verdict=verdict, code=verdict.code)


def after_refusal(
    task: ClaimedTask, verdict: Verdict, *, now: datetime, retry_for: timedelta, chance: random.Random
) -> Outcome:
    """A refusal for good fails; one for now is tried again until the time for retries is over."""
    first = task.first_tried_at or now
    if verdict.outcome == "deferred" and now - first < retry_for:
        due = next_try(task.attempts + 1, now, chance)
        return Outcome(task, TaskStatus.QUEUED, verdict.text, tried=True, due=due, code=verdict.code)
    return failed(task, verdict)


async def record(
    tx: WriteTx,
    scope: Scope,
    *,
    campaign_id: int,
    claim_token: str,
    outcomes: Sequence[Outcome],
    now: datetime,
) -> int:
    """Write outcomes of one claim; returns how many rows still belonged to it."""
    values = {"tenant": scope.tenant_id, "token": claim_token}
    if tx.postgres:
        written = {
            row[0] for row in await _RECORD_POSTGRES.rows(tx, {**values, **_as_columns(outcomes), "now": now})
        }
    else:
        written = {row[0] for row in await _held().rows(tx, values)}
        rows = msgspec.json.encode([_as_row(each) for each in outcomes]).decode()
        await _RECORD_SQLITE.rows(tx, {**values, "rows": rows, "now": _stamp(now)})
    kept = [outcome for outcome in outcomes if outcome.task.id in written]
    await _count(tx, scope, campaign_id, Counter(outcome.status for outcome in kept))
    failures = [outcome for outcome in kept if outcome.verdict is not None]
    if failures:
        await _bury(tx, scope, campaign_id, failures, now)
    return len(kept)


@cache
def _held() -> Packed:
    """What the claim still holds, which nobody else can change while this transaction lasts."""
    return Packed(sa.select(table_of(EmailTask).c.id).where(of_claim()))


_FIELDS = ("id", "status", "words", "tried", "due")


def _as_row(outcome: Outcome) -> tuple[object, ...]:
    """In the order of _FIELDS."""
    due = _stamp(outcome.due) if outcome.due else None
    return outcome.task.id, outcome.status, _stored(outcome.words), 1 if outcome.tried else 0, due


def _as_columns(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    return {
        "id": [each.task.id for each in outcomes],
        "status": [each.status.value for each in outcomes],
        "words": [_stored(each.words) for each in outcomes],
        "tried": [1 if each.tried else 0 for each in outcomes],
        "due": [each.due for each in outcomes],
    }


def _stored(words: str) -> str:
    return words[:_REPLY_CHARS].replace("\x00", "")


def _stamp(moment: datetime) -> str:
    """As SQLite stores it: naive UTC text, which is what UTCDateTime writes there."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


_SET = """
    status = v.status,
    last_reply = CASE WHEN v.words = '' THEN email_tasks.last_reply ELSE v.words END,
    external_msg_id = CASE WHEN v.status = 'sent' THEN substr(v.words, 1, 200) END,
    attempts = email_tasks.attempts + v.tried,
    first_tried_at = CASE WHEN v.tried = 1 THEN coalesce(email_tasks.first_tried_at, {now})
                          ELSE email_tasks.first_tried_at END,
    scheduled_at = coalesce(v.due, email_tasks.scheduled_at),
    finished_at = CASE WHEN v.status = 'queued' THEN NULL ELSE {now} END,
    locked_by = CASE WHEN v.status = 'doubt' THEN email_tasks.locked_by END,
    claim_token = CASE WHEN v.status = 'doubt' THEN email_tasks.claim_token END,
    lease_until = NULL
"""
# By the key and nothing else. SQLite, for which "+" hides a column, would search by status and read the JSON once for
# each row it finds: 300 ms for 500 outcomes instead of 8. PostgreSQL, for which an expression hides it, would walk
# through what was claimed before and is not vacuumed yet.
_WHERE_SQLITE = """
    email_tasks.id = v.id AND +email_tasks.tenant_id = :tenant
    AND +email_tasks.claim_token = :token AND +email_tasks.status = 'claimed'
"""
_WHERE_POSTGRES = """
    email_tasks.id = v.id AND email_tasks.tenant_id + 0 = :tenant
    AND email_tasks.claim_token || '' = :token AND email_tasks.status || '' = 'claimed'
"""
# Materialised, and as arrays: else SQLite reads a row's JSON once for each place that names one of its values.
_VALUES_SQLITE = ", ".join(f"value ->> {i} AS {name}" for i, name in enumerate(_FIELDS))
_RECORD_SQLITE = Prepared(
    sa.text(
        f"WITH v AS MATERIALIZED (SELECT {_VALUES_SQLITE} FROM json_each(:rows))"  # noqa: S608  # constants only
        f" UPDATE email_tasks SET {_SET.format(now=':now')} FROM v WHERE {_WHERE_SQLITE}"
    )
)
_RECORD_POSTGRES = Prepared(
    sa.text(
        f"UPDATE email_tasks SET {_SET.format(now='CAST(:now AS timestamptz)')}"  # noqa: S608
        " FROM unnest(CAST(:id AS bigint[]), CAST(:status AS text[]), CAST(:words AS text[]), CAST(:tried AS int[]),"
        f" CAST(:due AS timestamptz[])) AS v({', '.join(_FIELDS)}) WHERE {_WHERE_POSTGRES} RETURNING email_tasks.id"
    )
)

_COUNTERS = {
    TaskStatus.SENT: "sent",
    TaskStatus.FAILED: "failed",
    TaskStatus.SKIPPED: "skipped",
    TaskStatus.DOUBT: "doubt",
}


async def _count(tx: WriteTx, scope: Scope, campaign_id: int, statuses: Counter[TaskStatus]) -> None:
    added = {f"more_{column}": statuses[status] for status, column in _COUNTERS.items()}
    if any(added.values()):
        await _counting().rows(tx, {"tenant": scope.tenant_id, "campaign": campaign_id, **added})


@cache
def _counting() -> Prepared:
    totals = table_of(CampaignTotals)
    return Prepared(
        sa.update(totals)
        .where(totals.c.tenant_id == sa.bindparam("tenant"), totals.c.campaign_id == sa.bindparam("campaign"))
        .values({column: totals.c[column] + sa.bindparam(f"more_{column}") for column in _COUNTERS.values()})
    )


async def _bury(
    tx: WriteTx, scope: Scope, campaign_id: int, failures: Sequence[Outcome], now: datetime
) -> None:
    """Each failure gets a dead letter with the server's words; a dead address marks its contact at once."""
    rows = []
    dead_contacts = []
    for outcome in failures:
        verdict, task = outcome.verdict, outcome.task
        assert verdict is not None
        rows.append(
            {
                "tenant_id": scope.tenant_id,
                "task_id": task.id,
                "campaign_id": campaign_id,
                "contact_id": task.contact_id,
                "email": task.email,
                "cause": verdict.cause or "",
                "code": verdict.code,
                "enhanced": verdict.enhanced or "",
                "reply": outcome.words[:_REPLY_CHARS],
                "attempts": task.attempts + 1,
                "at": now,
            }
        )
        if verdict.hard:
            dead_contacts.append(task.contact_id)
    await tx.execute(sa.insert(table_of(DeadLetter)), rows)
    if dead_contacts:
        await mark_bounced(tx, scope, dead_contacts, now)
