"""Which campaigns may send right now, as the worker knows it: read ten times a second, asked per message."""

from datetime import datetime

from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.delivery.claim import RunningCampaign, running_campaigns
from mailengine.domain.delivery.kill_switch import state
from mailengine.domain.delivery.limits.quiet_hours import resting
from mailengine.domain.delivery.reputation import lower_lane

POLL_SECONDS = 0.1


class Control:
    """A pause, a cancel or a kill switch takes effect with the next `refresh`."""

    def __init__(self) -> None:
        self.active: dict[int, RunningCampaign] = {}
        self.risky: frozenset[int] = frozenset()  # tenants that come after the others

    async def refresh(self, db: Database, instance: InstanceScope, *, now: datetime) -> None:
        async with db.read(instance) as tx:
            switches = await state(tx, instance)
            campaigns = await running_campaigns(tx, instance)
            quiet = await resting(tx, instance, now=now)
            self.risky = await lower_lane(tx, instance)
        self.active = {
            campaign.campaign_id: campaign
            for campaign in campaigns
            if not switches.holds(campaign.tenant_id) and campaign.tenant_id not in quiet
        }
