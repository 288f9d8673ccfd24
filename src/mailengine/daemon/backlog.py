"""How much waits to be sent, told cheaply: enough to know how many workers are worth their memory."""

from datetime import datetime
from enum import IntEnum
from functools import cache

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import table_of
from mailengine.db.types import UTCDateTime
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery.claim import carrying
from mailengine.models import Campaign, CampaignState, EmailTask, Message, TaskStatus

SHORT_QUEUE = 1000  # less than a second's work for one process


class Need(IntEnum):
    """What the queue asks for."""

    NOBODY = 0
    ONE = 1
    ALL = 2


async def need(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> Need:
    """Looks at campaigns being sent, and at no more than SHORT_QUEUE index entries of each."""
    is_long, is_some = (await tx.execute(_question(), {"now": now})).one()
    if is_long:
        return Need.ALL
    return Need.ONE if is_some else Need.NOBODY


@cache  # asked five times a second: making it anew took longer than its answer
def _question() -> sa.Select[bool, bool]:
    campaigns, tasks, now = table_of(Campaign).c, table_of(EmailTask).c, _now()
    # Correlated, so that only queues of campaigns being sent are touched: a paused one may be long.
    due = sa.select(sa.literal(1)).where(
        tasks.campaign_id == campaigns.id,
        tasks.status == sa.literal_column("'queued'"),  # literal: the partial index must match
        tasks.scheduled_at <= now,
    )
    sending = sa.select(sa.literal(1)).where(campaigns.state == CampaignState.SENDING)
    beyond = due.limit(1).offset(SHORT_QUEUE).correlate(table_of(Campaign)).scalar_subquery()
    long = sending.where(beyond.is_not(None)).exists()
    some = sending.where(due.correlate(table_of(Campaign)).exists()).exists()
    # What a worker holds is in nobody's queue, and a campaign whose recipients are still being found will have
    # some in a moment.
    held = sa.exists().where(carrying(TaskStatus.CLAIMED))
    growing = sending.where(campaigns.expanded_at.is_(None)).exists()
    return sa.select(long, sa.or_(some, held, growing, _messages_wait()))


def _messages_wait() -> sa.ColumnElement[bool]:
    """Whether transactional mail is due or in a worker's hands."""
    messages = table_of(Message).c
    due = sa.exists().where(messages.status == sa.literal_column("'queued'"), messages.scheduled_at <= _now())
    return sa.or_(due, sa.exists().where(messages.claim_token.is_not(None)))


def _now() -> sa.BindParameter[datetime]:
    return sa.bindparam("now", type_=UTCDateTime())
