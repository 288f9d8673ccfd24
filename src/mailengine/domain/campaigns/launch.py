"""Launch: from a draft, or one that was scheduled, to a campaign that sends.

Reading and checking, building the snapshot, and storing are three steps, because building takes CPU that no
transaction may wait for. The store fails when the draft was changed meanwhile: what is sent is what was checked.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.errors import Conflict, Refused
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.checklist import Facts, Item, blocking, gather, judge
from mailengine.domain.campaigns.recipients import rules_now
from mailengine.domain.campaigns.states import move, require_waiting
from mailengine.domain.content import snapshots
from mailengine.domain.content.snapshots import Built, Sender
from mailengine.domain.delivery.limits.forecast import Forecast
from mailengine.domain.jobs import jobs
from mailengine.models import Campaign, CampaignState, CampaignTotals, JobKind


@dataclass(frozen=True, slots=True)
class Launched:
    """What was started, and the warnings that were passed over."""

    campaign: Campaign
    audience: int
    warnings: list[Item]
    throttled: Forecast | None


async def check(db: Database, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> list[Item]:
    """The checklist of a campaign as it is now."""
    async with db.read(scope) as tx:
        facts = await gather(tx, scope, campaign_id=campaign_id, now=now)
    return judge(facts)


async def launch(db: Database, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Launched:
    """Start sending; raises Refused with every reason that blocks, Conflict once it was launched."""
    scope.require(Grant.SEND)
    async with db.read(scope) as tx:
        facts = await gather(tx, scope, campaign_id=campaign_id, now=now)
    require_waiting(facts.campaign)
    items = judge(facts)
    reasons = blocking(items)
    if reasons:
        raise Refused(f"campaign {facts.campaign.name} cannot be sent", reasons)
    built = await snapshots.build(
        facts.sources,
        track_opens=facts.campaign.track_opens,
        track_clicks=facts.campaign.track_clicks,
    )
    async with db.write(scope) as tx:
        campaign = await _store(tx, scope, facts, built, now)
    warnings = [item for item in items if item.level == "warning"]
    return Launched(campaign, facts.audience, warnings, facts.throttled)


async def _store(tx: WriteTx, scope: Scope, facts: Facts, built: Built, now: datetime) -> Campaign:
    assert facts.campaign.id is not None
    campaign = await get(tx, scope, campaign_id=facts.campaign.id)
    require_waiting(campaign)
    if campaign.updated_at != facts.campaign.updated_at:
        raise Conflict(f"campaign {campaign.name} was changed while it was checked; send it again")
    campaign_id = CampaignId(facts.campaign.id)
    campaign.snapshot_id = await snapshots.store(
        tx,
        scope,
        campaign_id=campaign_id,
        built=built,
        sender=Sender(campaign.from_name, campaign.from_email, campaign.reply_to),
        organisation=facts.tenant.name,
        postal_address=facts.tenant.postal_address,
        now=now,
    )
    campaign.audience_rules = await rules_now(tx, scope, campaign)
    move(campaign, CampaignState.SENDING)
    campaign.launched_at = campaign.updated_at = now
    await tx.execute(
        sa.insert(table_of(CampaignTotals)).values(campaign_id=campaign_id, tenant_id=scope.tenant_id)
    )
    await jobs.create(
        tx,
        scope,
        kind=JobKind.EXPAND,
        title=f"Recipients of {campaign.name}",
        now=now,
        subject_id=campaign_id,
        total=facts.audience,
    )
    await audit.record(
        tx, scope, "campaign.launch", "campaign", campaign_id, now=now, audience=facts.audience
    )
    return campaign
