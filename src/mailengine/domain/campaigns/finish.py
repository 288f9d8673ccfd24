"""The end of a campaign: all tasks have an outcome, or it was cancelled and the rest is skipped."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import CampaignId, TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database, ReadTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.states import UNDER_WAY, move
from mailengine.models import Campaign, CampaignState, CampaignTotals, EmailTask, TaskStatus

_PAGE_TASKS = 10_000
CANCELLED = "the campaign was cancelled"


async def finished(tx: ReadTx, _instance: InstanceScope) -> list[tuple[TenantId, CampaignId]]:
    """Campaigns under way whose every task has an outcome, told from the totals."""
    campaigns, totals = table_of(Campaign).c, table_of(CampaignTotals).c
    rows = await tx.execute(
        sa.select(campaigns.tenant_id, campaigns.id)
        .join(table_of(CampaignTotals), totals.campaign_id == campaigns.id)
        .where(
            campaigns.state.in_(list(UNDER_WAY)),
            campaigns.expanded_at.is_not(None),
            totals.tasks == totals.sent + totals.failed + totals.skipped + totals.doubt,
        )
    )
    return [(TenantId(row.tenant_id), CampaignId(row.id)) for row in rows]


async def finish(db: Database, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> None:
    """`sending` becomes `sent`, unless a message went back into its queue since that was seen."""
    async with db.write(scope) as tx:
        campaign = await tx.scalar(
            owned(Campaign, scope).where(col(Campaign.id) == campaign_id).with_for_update()
        )
        if (
            campaign is not None
            and campaign.state in UNDER_WAY
            and not await _waiting(tx, scope, campaign_id)
        ):
            move(campaign, CampaignState.SENT)
            campaign.finished_at = campaign.updated_at = now
            await audit.record(tx, scope, "campaign.finish", "campaign", campaign_id, now=now)


async def _waiting(tx: ReadTx, scope: Scope, campaign_id: CampaignId) -> bool:
    totals = await tx.scalar(
        owned(CampaignTotals, scope).where(col(CampaignTotals.campaign_id) == campaign_id)
    )
    return totals is None or totals.tasks > totals.sent + totals.failed + totals.skipped + totals.doubt


async def cancelled(tx: ReadTx, _instance: InstanceScope) -> list[tuple[TenantId, CampaignId]]:
    """Cancelled campaigns that still have tasks in the queue."""
    campaigns, tasks = table_of(Campaign).c, table_of(EmailTask).c
    waiting = sa.exists().where(
        tasks.campaign_id == campaigns.id, tasks.status == sa.literal_column("'queued'")
    )
    rows = await tx.execute(
        sa.select(campaigns.tenant_id, campaigns.id).where(
            campaigns.state == CampaignState.CANCELLED, waiting
        )
    )
    return [(TenantId(row.tenant_id), CampaignId(row.id)) for row in rows]


async def skip_page(db: Database, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> int:
    """Turn a page of a cancelled campaign's queue into skipped tasks; returns how many."""
    tasks, totals = table_of(EmailTask), table_of(CampaignTotals)
    page = (
        sa.select(tasks.c.id)
        .where(
            tasks.c.tenant_id == scope.tenant_id,
            tasks.c.campaign_id == campaign_id,
            tasks.c.status == sa.literal_column("'queued'"),
        )
        .limit(_PAGE_TASKS)
    )
    async with db.write(scope) as tx:
        result = await tx.execute(
            sa.update(tasks)
            .where(tasks.c.tenant_id == scope.tenant_id, tasks.c.id.in_(page))
            .values(status=TaskStatus.SKIPPED, last_reply=CANCELLED, finished_at=now)
        )
        skipped = touched(result)
        await tx.execute(
            sa.update(totals)
            .where(totals.c.tenant_id == scope.tenant_id, totals.c.campaign_id == campaign_id)
            .values(skipped=totals.c.skipped + skipped)
        )
    return skipped
