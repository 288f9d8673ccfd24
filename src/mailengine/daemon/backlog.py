"""How much waits to be sent, told cheaply: enough to know how many workers are worth their memory."""

from datetime import datetime
from enum import IntEnum

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import Campaign, CampaignState, EmailTask

SHORT_QUEUE = 1000  # less than a second's work for one process


class Need(IntEnum):
    """What the queue asks for."""

    NOBODY = 0
    ONE = 1
    ALL = 2


async def need(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> Need:
    """Looks at campaigns being sent, and at no more than SHORT_QUEUE index entries of their due tasks."""
    campaigns, tasks = table_of(Campaign).c, table_of(EmailTask).c
    sending = campaigns.state == CampaignState.SENDING
    due = (
        sa.select(sa.literal(1))
        .select_from(table_of(Campaign))
        .join(table_of(EmailTask), tasks.campaign_id == campaigns.id)
        .where(
            sending,
            tasks.status == sa.literal_column("'queued'"),  # literal: the partial index must match
            tasks.scheduled_at <= now,
        )
        .limit(SHORT_QUEUE + 1)
        .subquery()
    )
    # What a worker holds is in nobody's queue, and a campaign whose recipients are still being found will have
    # some in a moment.
    held = sa.exists().where(tasks.status == sa.literal_column("'claimed'"))
    growing = sa.exists().where(sending, campaigns.expanded_at.is_(None))
    counted = sa.select(sa.func.count()).select_from(due).scalar_subquery()
    queued, busy = (await tx.execute(sa.select(counted, sa.or_(held, growing)))).one()
    if queued > SHORT_QUEUE:
        return Need.ALL
    return Need.ONE if queued or busy else Need.NOBODY
