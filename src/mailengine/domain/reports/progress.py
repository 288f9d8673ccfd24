"""One campaign as it is being sent: how far it is and, when it does not move, what holds it.

Read once a second by everyone who watches: a few rows by their keys and one look at the queue's index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.zones import zone_of
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.pace import throttle
from mailengine.domain.delivery import kill_switch
from mailengine.domain.delivery.claim import carrying
from mailengine.domain.delivery.health import waits_for
from mailengine.domain.delivery.limits.forecast import Forecast
from mailengine.domain.delivery.limits.quiet_hours import get_quiet_hours, quiet_until
from mailengine.domain.reports.campaigns import Progress, progress_of
from mailengine.models import (
    Campaign,
    CampaignState,
    CampaignTotals,
    EmailTask,
    Lease,
    TaskStatus,
)


@dataclass(frozen=True, slots=True)
class Followed:
    """`held` says what the database knows to hold it, one sentence each; `throttled` what slows it down."""

    progress: Progress
    held: Sequence[str]
    throttled: Forecast | None


async def follow(tx: ReadTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Followed:
    """Raises NotFound."""
    campaign = await get(tx, scope, campaign_id=campaign_id)
    totals = await tx.scalar(
        owned(CampaignTotals, scope).where(col(CampaignTotals.campaign_id) == campaign_id)
    )
    progress = progress_of(campaign, totals, {}, now)
    held = []
    if campaign.state == CampaignState.PAUSED:
        held.append("it is paused")
    if campaign.state == CampaignState.SCHEDULED and campaign.scheduled_at is not None:
        at = campaign.scheduled_at.astimezone(zone_of(campaign.schedule_zone))
        held.append(f"it waits for {at:%Y-%m-%d %H:%M} ({campaign.schedule_zone})")
    if campaign.state == CampaignState.DRAFT and campaign.schedule_faults:
        held.append(f"it was not sent at its time: {'; '.join(campaign.schedule_faults)}")
    switches = await kill_switch.of_tenant(tx, scope)
    if (switch := switches.instance or switches.tenant) is not None:
        held.append("the kill switch is on" + (f" ({switch.reason})" if switch.reason else ""))
    if campaign.state == CampaignState.SENDING and progress.queued:
        held += await _rest(tx, scope, now)
        held += await waits_for(tx, scope, relay_id=campaign.relay_id, now=now)
        held += await _retries(tx, scope, campaign_id, now)
    return Followed(progress, held, None if held else await throttled(tx, scope, campaign, progress, now))


async def throttled(
    tx: ReadTx, scope: Scope, campaign: Campaign, progress: Progress, now: datetime
) -> Forecast | None:
    """The forecast for what is left of a campaign that is being sent."""
    if campaign.state != CampaignState.SENDING:
        return None
    return await throttle(tx, scope, campaign, messages=progress.queued, now=now)


async def _rest(tx: ReadTx, scope: Scope, now: datetime) -> list[str]:
    row = await get_quiet_hours(tx, scope)
    end = None if row is None else quiet_until(row, now)
    if row is None or end is None:
        return []
    return [f"quiet hours until {end.astimezone(zone_of(row.timezone)):%H:%M} ({row.timezone})"]


async def work_is_led(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> bool:
    """Whether any daemon of the installation, on whatever machine, holds a lease."""
    leases = table_of(Lease).c
    return bool(await tx.scalar(sa.select(sa.exists().where(leases.expires_at > now))))


async def _retries(tx: ReadTx, scope: Scope, campaign_id: CampaignId, now: datetime) -> list[str]:
    """What is said when every message that is left waits for its next try."""
    tasks = table_of(EmailTask).c
    mine = sa.and_(tasks.tenant_id == scope.tenant_id, tasks.campaign_id == campaign_id)
    waiting = (
        sa.select(tasks.scheduled_at, tasks.last_reply, tasks.first_tried_at)
        .where(mine, tasks.status == sa.literal_column("'queued'"))  # literal: the claim's index must match
        .order_by(tasks.scheduled_at, tasks.id)
    )
    first = (await tx.execute(waiting.limit(1))).first()
    if first is None or first.scheduled_at <= now:
        return []
    if await tx.scalar(sa.select(sa.exists().where(mine, carrying(TaskStatus.CLAIMED)))):
        return []
    seconds = int((first.scheduled_at - now).total_seconds())
    if first.first_tried_at is None:  # no server was asked: a limit of a provider holds it back
        return [f"{first.last_reply}; the next message goes in {seconds} s"]
    return [f"the server asked to wait ({first.last_reply}); the next try is in {seconds} s"]
