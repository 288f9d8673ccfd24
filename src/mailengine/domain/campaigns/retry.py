"""A second chance: dead letters and messages in doubt go back into the queue of their campaign.

A campaign that was sent is under way again from then on, in the same transaction, so that no finished campaign
ever has a task that waits. A cancelled one stays ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.states import move
from mailengine.domain.contacts.lists import keep_any
from mailengine.domain.delivery import dead_letters, doubts
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.models import Campaign, CampaignState


@dataclass(frozen=True, slots=True)
class Requeued:
    """`kept` letters stay: their contacts cannot be mailed any more, or their campaign was cancelled or lost its
    lists."""

    requeued: int
    kept: int


async def requeue(tx: WriteTx, scope: Scope, chosen: Chosen, *, now: datetime) -> Requeued:
    """Try the chosen dead letters again; raises Conflict when the campaign that was asked for is cancelled."""
    scope.require(Grant.SEND)
    requeued = 0
    for campaign_id in await dead_letters.campaigns_of(tx, scope, chosen):
        campaign = await _locked(tx, scope, campaign_id)
        if ended := await _ended(tx, scope, campaign):
            if chosen.campaign_id is not None:
                raise Conflict(ended)
            continue
        moved = await dead_letters.revive(tx, scope, chosen, campaign_id=campaign_id, now=now)
        await _go_on(tx, scope, campaign, moved, "dead_letter.requeue", now)
        requeued += moved
    return Requeued(requeued, await dead_letters.count(tx, scope, chosen))


async def resend(tx: WriteTx, scope: Scope, *, task_ids: Sequence[int], now: datetime) -> int:
    """Send messages in doubt again, though some may arrive twice; raises NotFound, Conflict."""
    scope.require(Grant.SEND)
    moved = 0
    for campaign_id, ids in (await doubts.campaigns_of(tx, scope, task_ids)).items():
        campaign = await _locked(tx, scope, campaign_id)
        if ended := await _ended(tx, scope, campaign):
            raise Conflict(ended)
        queued = await doubts.send_again(tx, scope, campaign_id=campaign_id, task_ids=ids, now=now)
        await _go_on(tx, scope, campaign, queued, "doubt.resend", now)
        moved += queued
    return moved


async def _locked(tx: WriteTx, scope: Scope, campaign_id: int) -> Campaign:
    """The campaign, held against `finish` until the transaction ends."""
    campaign = await tx.scalar(
        owned(Campaign, scope).where(col(Campaign.id) == campaign_id).with_for_update()
    )
    if campaign is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return campaign


async def _ended(tx: WriteTx, scope: Scope, campaign: Campaign) -> str:
    """Why it sends no more, empty where it may. Without its lists the gate would skip everybody, and the server's
    words would be lost."""
    if campaign.deleted_at is not None:
        ended = "was deleted"
    elif campaign.state == CampaignState.CANCELLED:
        ended = "was cancelled"
    elif campaign.list_ids and not await keep_any(tx, scope, campaign.list_ids):
        ended = "has no list any more"
    else:
        return ""
    return f"campaign {campaign.name} {ended} and sends no more; duplicate it instead"


async def _go_on(
    tx: WriteTx, scope: Scope, campaign: Campaign, moved: int, action: str, now: datetime
) -> None:
    if not moved:
        return
    if campaign.state == CampaignState.SENT:
        move(campaign, CampaignState.SENDING)
        campaign.finished_at = None
    campaign.updated_at = now
    await audit.record(tx, scope, action, "campaign", campaign.id, now=now, messages=moved)
