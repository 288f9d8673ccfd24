"""Pause, resume, cancel: one row changes, and workers hold within their next look at it (0.1 s)."""

from datetime import datetime

from mailengine.core.errors import Conflict
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.states import move
from mailengine.models import Campaign, CampaignState


async def pause(tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Campaign:
    """Hold a campaign that is being sent; raises Conflict otherwise."""
    return await _move(tx, scope, campaign_id, CampaignState.PAUSED, "campaign.pause", now)


async def resume(tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Campaign:
    """Go on with a paused campaign; raises Conflict otherwise (`retry` is what reopens one that was sent)."""
    return await _move(tx, scope, campaign_id, CampaignState.SENDING, "campaign.resume", now)


async def cancel(tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Campaign:
    """End a campaign for good; the scheduler turns what still waits into skipped tasks."""
    campaign = await _move(tx, scope, campaign_id, CampaignState.CANCELLED, "campaign.cancel", now)
    campaign.finished_at = now
    return campaign


async def _move(
    tx: WriteTx, scope: Scope, campaign_id: CampaignId, to: CampaignState, action: str, now: datetime
) -> Campaign:
    scope.require(Grant.SEND)
    campaign = await get(tx, scope, campaign_id=campaign_id)
    if campaign.state == CampaignState.SCHEDULED:
        raise Conflict(f"campaign {campaign.name} is scheduled; use `mailengine campaign unschedule`")
    if to == CampaignState.SENDING and campaign.state != CampaignState.PAUSED:
        draft = campaign.state == CampaignState.DRAFT
        remedy = "use `mailengine campaign send`" if draft else "only a paused campaign can be resumed"
        raise Conflict(f"campaign {campaign.name} is {campaign.state}; {remedy}")
    move(campaign, to)
    campaign.updated_at = now
    await audit.record(tx, scope, action, "campaign", campaign.id, now=now)
    return campaign
