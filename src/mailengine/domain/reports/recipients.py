"""Who of a campaign's recipients had which outcome: the lists behind the figures (P6-03)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.contacts.queries import contains
from mailengine.domain.delivery.claim import carrying
from mailengine.models import CampaignTotals, EmailEvent, EmailTask, EventKind, TaskStatus


class Outcome(StrEnum):
    """What became of a message, or what its recipient did."""

    SENT = "sent"
    FAILED = "failed"
    DOUBT = "doubt"
    SKIPPED = "skipped"
    WAITING = "waiting"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


_STATUS = table_of(EmailTask).c.status
_TASKS = {  # as the indexes are that hold them
    Outcome.SENT: _STATUS == TaskStatus.SENT,
    Outcome.FAILED: sa.literal_column("'failed'") == _STATUS,
    Outcome.DOUBT: carrying(TaskStatus.DOUBT),
    Outcome.SKIPPED: sa.literal_column("'skipped'") == _STATUS,
    Outcome.WAITING: sa.or_(sa.literal_column("'queued'") == _STATUS, carrying(TaskStatus.CLAIMED)),
}
_EVENTS = {
    Outcome.OPENED: EventKind.OPEN,
    Outcome.CLICKED: EventKind.CLICK,
    Outcome.UNSUBSCRIBED: EventKind.UNSUBSCRIBE,
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One message; `words` are the server's or the gate's."""

    id: int
    contact_id: int
    email: str
    status: str
    words: str
    at: datetime | None


async def note_download(tx: WriteTx, scope: Scope, *, campaign_id: int, now: datetime) -> None:
    """The audit log says who took the addresses with them (P1-06); raises NotFound."""
    await get(tx, scope, campaign_id=campaign_id)
    await audit.record(tx, scope, "campaign.export", "campaign", campaign_id, now=now)


async def recipients(
    tx: ReadTx,
    scope: Scope,
    *,
    campaign_id: int,
    outcome: Outcome | None = None,
    text: str = "",
    request: PageRequest | None = None,
) -> Page[Recipient]:
    """By contact; raises NotFound."""
    await get(tx, scope, campaign_id=campaign_id)
    query = owned(EmailTask, scope).where(col(EmailTask.campaign_id) == campaign_id)
    if outcome in _TASKS:
        query = query.where(_TASKS[outcome])
    elif outcome is not None:
        query = query.where(col(EmailTask.contact_id).in_(_who_did(scope, campaign_id, _EVENTS[outcome])))
    if text:
        query = query.where(contains(col(EmailTask.email), text))
    request = request or PageRequest()
    total = await _counted(tx, scope, campaign_id, outcome) if request.count and not text else None
    page = await keyset_page(tx, query, col(EmailTask.contact_id), request, total=total)
    return Page([_recipient(row) for row in page.items], page.total, page.next, page.previous)


async def _counted(tx: ReadTx, scope: Scope, campaign_id: int, outcome: Outcome | None) -> int | None:
    """What the campaign's totals say of it, which are kept in the transactions that change its tasks; None where they
    do not."""
    if outcome in _EVENTS:
        return None
    totals = await tx.scalar(
        owned(CampaignTotals, scope).where(col(CampaignTotals.campaign_id) == campaign_id)
    )
    if totals is None:
        return 0  # it was not launched
    return {
        None: totals.tasks,
        Outcome.SENT: totals.sent,
        Outcome.FAILED: totals.failed,
        Outcome.DOUBT: totals.doubt,
        Outcome.SKIPPED: totals.skipped,
        Outcome.WAITING: totals.tasks - totals.sent - totals.failed - totals.doubt - totals.skipped,
    }[outcome]


def _who_did(scope: Scope, campaign_id: int, kind: EventKind) -> "sa.Select[int]":
    return sa.select(col(EmailEvent.contact_id)).where(
        tenant_of(EmailEvent) == scope.tenant_id,
        col(EmailEvent.campaign_id) == campaign_id,
        col(EmailEvent.kind) == kind,
    )


def _recipient(task: EmailTask) -> Recipient:
    words = task.external_msg_id if task.status == TaskStatus.SENT else task.last_reply
    return Recipient(task.id or 0, task.contact_id, task.email, task.status, words or "", task.finished_at)
