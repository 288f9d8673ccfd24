"""What became of claimed messages, written under the claim token only; bodies go when nobody needs them more."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of, tenant_of
from mailengine.db.unit import WriteTx, touched
from mailengine.domain.contacts.states import move_all
from mailengine.domain.delivery.outcome import Outcome
from mailengine.mail.address import parse_address
from mailengine.models import Contact, ContactState, Message, MessageStatus, TaskStatus

_REPLY_CHARS = 1000
_ENDS = (TaskStatus.SENT, TaskStatus.FAILED, TaskStatus.SKIPPED)
_ERASED = (TaskStatus.SENT, TaskStatus.SKIPPED)  # a failed one can be queued again by a person


async def record(
    tx: WriteTx, scope: Scope, *, claim_token: str, outcomes: Sequence[Outcome], now: datetime
) -> int:
    """Write outcomes of one claim; returns how many rows still belonged to it."""
    kept = [outcome for outcome in outcomes if await _write(tx, scope, claim_token, outcome, now)]
    dead = [outcome.task.email for outcome in kept if outcome.verdict is not None and outcome.verdict.hard]
    if dead:
        keys = [parse_address(email).key for email in dead]
        await move_all(tx, scope, col(Contact.email_key).in_(keys), ContactState.BOUNCED, now)
    return len(kept)


async def _write(tx: WriteTx, scope: Scope, claim_token: str, outcome: Outcome, now: datetime) -> bool:
    messages = table_of(Message)
    result = await tx.execute(
        sa.update(messages)
        .where(
            tenant_of(Message) == scope.tenant_id,
            messages.c.id == outcome.task.id,
            messages.c.claim_token == claim_token,
            messages.c.status == MessageStatus.CLAIMED,
        )
        .values(locked_by=None, claim_token=None, lease_until=None, **_values(messages, outcome, now))
    )
    return touched(result) > 0


def _values(messages: sa.Table, outcome: Outcome, now: datetime) -> dict[str, object]:
    values: dict[str, object] = {"status": MessageStatus(outcome.status.value)}
    if outcome.words:
        values["last_reply"] = outcome.words[:_REPLY_CHARS].replace("\x00", "")
    if outcome.tried:
        values["attempts"] = messages.c.attempts + 1
        values["first_tried_at"] = sa.func.coalesce(
            messages.c.first_tried_at, sa.literal(now, messages.c.first_tried_at.type)
        )
    if outcome.due is not None:
        values["scheduled_at"] = outcome.due
    if outcome.status in _ENDS:
        values["finished_at"] = now
    if outcome.verdict is not None:
        values["cause"] = outcome.verdict.cause or ""
    if outcome.status in _ERASED:
        values |= {"text": "", "html": ""}
    return values
