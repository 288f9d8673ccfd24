"""Sending later (P4-03): a draft waits for its time, and the scheduler launches it then.

The checklist is gone through twice: now, because nobody should learn of a mistake at night, and at the launch,
because what it is about may have changed. When it blocks then, the campaign is a draft again that says why, and
whoever runs the tenant gets a letter. A time that passed long ago while nothing ran is not made up for: a greeting
for the morning is none in the evening.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from mailengine.core.errors import Conflict, InvalidInput, Refused
from mailengine.core.ids import CampaignId, TenantId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.core.zones import zone_of
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.users import list_members
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.checklist import Item, blocking, gather, judge
from mailengine.domain.campaigns.launch import launch
from mailengine.domain.campaigns.states import move, require_waiting
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.models import Campaign, CampaignState, Role

FURTHEST = timedelta(days=730)  # a year that was typed wrong
LATEST = timedelta(hours=12)
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What waits, and the warnings that were passed over."""

    campaign: Campaign
    audience: int
    warnings: list[Item]


@dataclass(frozen=True, slots=True)
class Due:
    tenant_id: TenantId
    campaign_id: CampaignId


async def schedule(
    db: Database, scope: Scope, *, campaign_id: CampaignId, at: datetime, zone: str, now: datetime
) -> Scheduled:
    """Have a draft sent at `at`, or one that waits at another time; `zone` is only how it is shown. Raises
    InvalidInput for a time that has passed, Refused with every reason that the checklist has."""
    scope.require(Grant.SEND)
    check_time(at, now)
    zone_of(zone)
    async with db.read(scope) as tx:
        facts = await gather(tx, scope, campaign_id=campaign_id, now=now)
    require_waiting(facts.campaign)
    items = judge(facts)
    if reasons := blocking(items):
        raise Refused(f"campaign {facts.campaign.name} cannot be scheduled", reasons)
    async with db.write(scope) as tx:
        campaign = await get(tx, scope, campaign_id=campaign_id)
        require_waiting(campaign)
        if campaign.updated_at != facts.campaign.updated_at:
            raise Conflict(f"campaign {campaign.name} was changed while it was checked; schedule it again")
        if campaign.state != CampaignState.SCHEDULED:
            move(campaign, CampaignState.SCHEDULED)
        campaign.scheduled_at, campaign.schedule_zone, campaign.schedule_faults = at, zone, []
        campaign.updated_at = now
        await audit.record(
            tx, scope, "campaign.schedule", "campaign", campaign_id, now=now, at=at.isoformat()
        )
    warnings = [item for item in items if item.level == "warning"]
    return Scheduled(campaign, facts.audience, warnings)


async def unschedule(tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Campaign:
    """A draft again; raises Conflict for one that does not wait."""
    scope.require(Grant.SEND)
    campaign = await get(tx, scope, campaign_id=campaign_id)
    if campaign.state != CampaignState.SCHEDULED:
        raise Conflict(
            f"campaign {campaign.name} is {campaign.state}; only a scheduled one can be unscheduled"
        )
    move(campaign, CampaignState.DRAFT)
    campaign.scheduled_at, campaign.updated_at = None, now
    await audit.record(tx, scope, "campaign.unschedule", "campaign", campaign_id, now=now)
    return campaign


def check_time(at: datetime, now: datetime) -> None:
    """Raises InvalidInput."""
    if at <= now:
        raise InvalidInput("this time has passed; choose a later one, or send the campaign now")
    if at - now > FURTHEST:
        raise InvalidInput("a campaign can be scheduled two years ahead at most")


async def due(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> list[Due]:
    """Those whose time has come, the longest waiting first."""
    campaigns = table_of(Campaign).c
    rows = await tx.execute(
        sa.select(campaigns.tenant_id, campaigns.id)
        .where(
            campaigns.state == CampaignState.SCHEDULED,
            campaigns.scheduled_at <= now,
            campaigns.deleted_at.is_(None),
        )
        .order_by(campaigns.scheduled_at)
        .limit(_PAGE)
    )
    return [Due(TenantId(row.tenant_id), CampaignId(row.id)) for row in rows]


async def start(db: Database, scope: Scope, due: Due, *, base_url: str, now: datetime) -> list[str]:
    """Launch it; the answer is why it could not be, nothing when it could. Raises Conflict when a person was faster
    and it does not wait any more."""
    async with db.read(scope) as tx:
        campaign = await get(tx, scope, campaign_id=due.campaign_id)
    if campaign.state != CampaignState.SCHEDULED or campaign.scheduled_at is None:
        raise Conflict(f"campaign {campaign.name} does not wait any more")
    reasons: Sequence[str] = ()
    if now - campaign.scheduled_at > LATEST:
        reasons = ["nothing was running at that time, and it is too late for it now"]
    else:
        try:
            await launch(db, scope, campaign_id=due.campaign_id, now=now)
        except (Refused, InvalidInput) as error:
            reasons = getattr(error, "reasons", ()) or [str(error)]
    if reasons:
        async with db.write(scope) as tx:
            await _give_back(tx, scope, due.campaign_id, list(reasons), base_url, now)
    return list(reasons)


async def _give_back(
    tx: WriteTx, scope: Scope, campaign_id: CampaignId, reasons: list[str], base_url: str, now: datetime
) -> None:
    """A draft again, that says why; and a letter to those who run the tenant."""
    campaign = await get(tx, scope, campaign_id=campaign_id)
    if campaign.state != CampaignState.SCHEDULED:
        return
    move(campaign, CampaignState.DRAFT)
    campaign.schedule_faults, campaign.updated_at = reasons, now
    await audit.record(tx, scope, "campaign.not-sent", "campaign", campaign_id, now=now, reasons=len(reasons))
    text = _letter(campaign, reasons, base_url)
    subject = f"{campaign.name} was not sent"
    for member in await list_members(tx, scope):
        if member.role not in (Role.OWNER, Role.ADMIN):
            continue
        message = OutgoingMessage(member.email, subject, text, sender=campaign.from_email)
        await queue_message(tx, scope, message, now=now)


def _letter(campaign: Campaign, reasons: list[str], base_url: str) -> str:
    assert campaign.scheduled_at is not None
    at = campaign.scheduled_at.astimezone(zone_of(campaign.schedule_zone))
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return (
        f"The campaign {campaign.name} was to be sent on {at:%Y-%m-%d at %H:%M} ({campaign.schedule_zone}), "
        f"and was not:\n\n{listed}\n\n"
        "Nobody got anything. It is a draft again: mend what stands above, then send or schedule it anew.\n\n"
        f"{base_url}/campaigns/{campaign.id}\n"
    )
