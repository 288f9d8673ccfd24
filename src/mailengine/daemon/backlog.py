"""How much waits to be sent, told cheaply: enough to know how many workers are worth their memory."""

from datetime import datetime

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import Campaign, CampaignState, EmailTask

SHORT_QUEUE = 1000  # less than a second's work for one process


async def is_long(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> bool:
    """True when more than SHORT_QUEUE tasks are due; reads no more index entries than that."""
    campaigns, tasks = table_of(Campaign).c, table_of(EmailTask).c
    due = (
        sa.select(sa.literal(1))
        .select_from(table_of(Campaign))
        .join(table_of(EmailTask), tasks.campaign_id == campaigns.id)
        .where(
            campaigns.state == CampaignState.SENDING,
            tasks.status == sa.literal_column("'queued'"),  # literal: the partial index must match
            tasks.scheduled_at <= now,
        )
        .limit(SHORT_QUEUE + 1)
        .subquery()
    )
    counted: int = await tx.scalar(sa.select(sa.func.count()).select_from(due)) or 0
    return counted > SHORT_QUEUE
