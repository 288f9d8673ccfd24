"""Messages in doubt: their end left for the wire and the server's answer was never read.

Only a person who looked (at the server's log, in the mailbox) can say what became of one. What they say is a
settlement; sending again may double the message, so it never happens without being asked for.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.domain.delivery.claim import carrying
from mailengine.models import Campaign, CampaignTotals, DeadLetter, EmailTask, TaskStatus

CAUSE = "doubt"  # of the dead letter of a message that a person settled as failed


async def list_doubts(
    tx: ReadTx,
    scope: Scope,
    *,
    campaign_id: int | None = None,
    text: str = "",
    request: PageRequest | None = None,
) -> Page[EmailTask]:
    """Oldest first; `text` restricts to addresses that hold it."""
    query = owned(EmailTask, scope).where(carrying(TaskStatus.DOUBT))
    if campaign_id is not None:
        query = query.where(col(EmailTask.campaign_id) == campaign_id)
    if text:
        query = query.where(contains(col(EmailTask.email), text))
    return await keyset_page(tx, query, col(EmailTask.id), request or PageRequest())


async def campaign_names(tx: ReadTx, scope: Scope) -> dict[int, str]:
    """The campaigns that have a message in doubt: id → name, the newest first."""
    tasks, campaigns = table_of(EmailTask).c, table_of(Campaign).c
    doubtful = (
        sa.select(tasks.campaign_id)
        .where(tasks.tenant_id == scope.tenant_id, carrying(TaskStatus.DOUBT))
        .distinct()
    )
    rows = await tx.execute(
        sa.select(campaigns.id, campaigns.name)
        .where(campaigns.tenant_id == scope.tenant_id, campaigns.id.in_(doubtful))
        .order_by(campaigns.id.desc())
    )
    return {row.id: row.name for row in rows}


async def campaigns_of(tx: WriteTx, scope: Scope, task_ids: Sequence[int]) -> dict[int, list[int]]:
    """The doubtful tasks by campaign, held until the end of the transaction: of two who decide the same, one does.
    Raises NotFound for one that is not in doubt (any more)."""
    tasks = table_of(EmailTask).c
    rows = await tx.execute(
        sa.select(tasks.campaign_id, tasks.id)
        .where(tasks.tenant_id == scope.tenant_id, tasks.id.in_(task_ids), tasks.status == TaskStatus.DOUBT)
        .order_by(tasks.campaign_id, tasks.id)
        .with_for_update()
    )
    found: dict[int, list[int]] = {}
    for campaign_id, task_id in rows:
        found.setdefault(campaign_id, []).append(task_id)
    missing = set(task_ids) - {task_id for ids in found.values() for task_id in ids}
    if missing:
        raise NotFound(f"there is no message {min(missing)} in doubt; see `mailengine delivery doubts list`")
    return found


async def settle(tx: WriteTx, scope: Scope, *, task_ids: Sequence[int], accepted: bool, now: datetime) -> int:
    """Record what a person found out: the server had accepted them, or they are lost and given up.

    Raises NotFound, and then changes nothing.
    """
    scope.require(Grant.SEND)
    settled = 0
    for campaign_id, ids in (await campaigns_of(tx, scope, task_ids)).items():
        settled += await _settle(tx, scope, campaign_id, ids, accepted, now)
        await audit.record(
            tx, scope, "doubt.settle", "campaign", campaign_id, now=now, tasks=ids, accepted=accepted
        )
    return settled


async def _settle(
    tx: WriteTx, scope: Scope, campaign_id: int, ids: Sequence[int], accepted: bool, now: datetime
) -> int:
    if accepted:
        by = f"settled by {scope.actor}"
        return await _leave_doubt(tx, scope, campaign_id, ids, TaskStatus.SENT, external_msg_id=by)
    moved = await _leave_doubt(tx, scope, campaign_id, ids, TaskStatus.FAILED)
    await _bury(tx, scope, ids, now)
    return moved


async def send_again(
    tx: WriteTx, scope: Scope, *, campaign_id: int, task_ids: Sequence[int], now: datetime
) -> int:
    """Back into the queue. Their campaign must be under way: `campaigns.retry` sees to that."""
    scope.require(Grant.SEND)
    return await _leave_doubt(
        tx, scope, campaign_id, task_ids, TaskStatus.QUEUED,
        scheduled_at=now, first_tried_at=None, finished_at=None,
    )  # fmt: skip


_COUNTER = {TaskStatus.SENT: "sent", TaskStatus.FAILED: "failed"}


async def _leave_doubt(
    tx: WriteTx, scope: Scope, campaign_id: int, ids: Sequence[int], to: TaskStatus, **values: object
) -> int:
    """Move the tasks and, by the same number, the campaign's totals."""
    tasks, totals = table_of(EmailTask), table_of(CampaignTotals)
    result = await tx.execute(
        sa.update(tasks)
        .where(
            tenant_of(EmailTask) == scope.tenant_id, tasks.c.id.in_(ids), tasks.c.status == TaskStatus.DOUBT
        )
        .values(status=to, claim_token=None, locked_by=None, lease_until=None, **values)
    )
    moved = touched(result)
    counted = {"doubt": totals.c.doubt - moved}
    if to in _COUNTER:
        counted[_COUNTER[to]] = totals.c[_COUNTER[to]] + moved
    await tx.execute(
        sa.update(totals)
        .where(totals.c.tenant_id == scope.tenant_id, totals.c.campaign_id == campaign_id)
        .values(**counted)
    )
    return moved


async def _bury(tx: WriteTx, scope: Scope, ids: Sequence[int], now: datetime) -> None:
    tasks = table_of(EmailTask).c
    kept = ("tenant_id", "campaign_id", "contact_id", "email", "attempts")
    rows = sa.select(
        *(tasks[name] for name in kept),
        tasks.id,
        sa.literal(CAUSE),
        sa.literal(0),
        sa.literal(""),
        tasks.last_reply,
        sa.literal(now, table_of(DeadLetter).c.at.type),
    ).where(tasks.tenant_id == scope.tenant_id, tasks.id.in_(ids), tasks.status == TaskStatus.FAILED)
    columns = [*kept, "task_id", "cause", "code", "enhanced", "reply", "at"]
    await tx.execute(sa.insert(table_of(DeadLetter)).from_select(columns, rows))
