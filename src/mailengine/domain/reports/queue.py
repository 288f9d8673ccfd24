"""How much waits and for how long, cheaply enough to be asked every few seconds: no ledger is counted."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import (
    Campaign,
    CampaignState,
    CampaignTotals,
    EmailTask,
    Job,
    JobState,
    Message,
    MessageStatus,
)

_OPEN_CAMPAIGNS = (CampaignState.SENDING, CampaignState.PAUSED)
_OPEN_JOBS = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """`oldest_due_seconds`: how long the longest waiting message could have been sent already."""

    campaign_messages: int
    oldest_due_seconds: float
    transactional_messages: int
    campaigns: dict[str, int]
    jobs: dict[tuple[str, str], int]


async def queue_figures(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> QueueFigures:
    """What is open in the whole installation."""
    return QueueFigures(
        campaign_messages=await _waiting(tx),
        oldest_due_seconds=await _oldest_due_seconds(tx, now),
        transactional_messages=await _transactional(tx),
        campaigns=await _campaigns(tx),
        jobs=await _jobs(tx),
    )


async def handled(tx: ReadTx, _instance: InstanceScope) -> int:
    """How many messages of campaigns ever had their last try: its growth is the speed of the installation."""
    totals = table_of(CampaignTotals).c
    done = sa.func.coalesce(sa.func.sum(totals.sent + totals.failed + totals.doubt), 0)
    return int(await tx.scalar(sa.select(done)) or 0)


async def deferred(tx: ReadTx, scope: Scope, *, now: datetime, most: int) -> int:
    """How many messages of the tenant's campaigns wait for a later try; `most` where there are more: those are not
    counted, which would take as long as there are many."""
    tasks, campaigns = table_of(EmailTask).c, table_of(Campaign).c
    sending = await tx.scalars(
        sa.select(campaigns.id).where(
            campaigns.tenant_id == scope.tenant_id, campaigns.state == CampaignState.SENDING
        )
    )
    count = 0
    for campaign_id in sending:
        later = (
            sa.select(sa.literal(1))
            .where(
                tasks.tenant_id == scope.tenant_id,
                tasks.campaign_id == campaign_id,
                tasks.status == sa.literal_column("'queued'"),
                tasks.scheduled_at > now,
            )
            .limit(most - count)
        )
        count += await tx.scalar(sa.select(sa.func.count()).select_from(later.subquery())) or 0
        if count >= most:
            break
    return count


async def _waiting(tx: ReadTx) -> int:
    """From the totals that every outcome keeps; tasks of campaigns that ended do not wait."""
    totals, campaigns = table_of(CampaignTotals).c, table_of(Campaign).c
    open_tasks = totals.tasks - totals.sent - totals.failed - totals.skipped - totals.doubt
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(open_tasks), 0))
        .join_from(table_of(CampaignTotals), table_of(Campaign), campaigns.id == totals.campaign_id)
        .where(campaigns.state.in_(_OPEN_CAMPAIGNS))
    )
    return int(await tx.scalar(query) or 0)


async def _oldest_due_seconds(tx: ReadTx, now: datetime) -> float:
    """Of campaigns that send: what is paused is not late."""
    tasks, campaigns = table_of(EmailTask).c, table_of(Campaign).c
    sending = await tx.scalars(sa.select(campaigns.id).where(campaigns.state == CampaignState.SENDING))
    oldest = now
    for campaign_id in sending:
        due = await tx.scalar(
            sa.select(tasks.scheduled_at)
            .where(tasks.campaign_id == campaign_id, tasks.status == sa.literal_column("'queued'"))
            .order_by(tasks.scheduled_at)
            .limit(1)
        )
        oldest = min(oldest, due or now)
    return (now - oldest).total_seconds()


async def _transactional(tx: ReadTx) -> int:
    messages = table_of(Message).c
    query = sa.select(sa.func.count()).where(
        messages.status == sa.literal_column(f"'{MessageStatus.QUEUED}'")
    )
    return int(await tx.scalar(query) or 0)


async def _campaigns(tx: ReadTx) -> dict[str, int]:
    state = table_of(Campaign).c.state
    rows = await tx.execute(
        sa.select(state, sa.func.count()).where(state.in_(_OPEN_CAMPAIGNS)).group_by(state)
    )
    return {str(name): int(count) for name, count in rows}


async def _jobs(tx: ReadTx) -> dict[tuple[str, str], int]:
    jobs = table_of(Job).c
    rows = await tx.execute(
        sa.select(jobs.kind, jobs.state, sa.func.count())
        .where(jobs.state.in_(_OPEN_JOBS))
        .group_by(jobs.kind, jobs.state)
    )
    return {(str(kind), str(state)): int(count) for kind, state, count in rows}
