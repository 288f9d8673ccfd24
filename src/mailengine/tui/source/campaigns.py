"""Campaigns: their list, what is read before a send, one as it is sent, its report, and what can be done with it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailengine.core.errors import Conflict
from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.core.wording import counted
from mailengine.core.zones import moment_in, zone_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns import campaigns, control, launch, schedule
from mailengine.domain.campaigns.campaigns import Described
from mailengine.domain.campaigns.checklist import Item, blocking
from mailengine.domain.campaigns.states import require_waiting
from mailengine.domain.delivery.dead_letters import CauseFigures, causes
from mailengine.domain.reports.campaigns import CampaignReport, Progress, figures, progress_of_all
from mailengine.domain.reports.progress import Followed, follow
from mailengine.models import Campaign, CampaignState
from mailengine.tui.source.desk import Desk, whole


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """Newest first."""

    rows: Sequence[Progress]
    total: int
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a campaign, with its failures by cause."""

    report: CampaignReport
    failures: Sequence[CauseFigures]


@dataclass(frozen=True, slots=True)
class Review:
    """What is read before a send; `zone` is the one that a time is written in."""

    campaign: Campaign
    names: Described
    items: Sequence[Item]
    zone: str

    @property
    def blocked(self) -> bool:
        return bool(blocking(self.items))

    @property
    def warnings(self) -> frozenset[str]:
        return frozenset(item.message for item in self.items if item.level == "warning")


class _Verb(Protocol):
    """A verb of `control`, or one like them."""

    def __call__(
        self, tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime
    ) -> Awaitable[Campaign]: ...


class Campaigns:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def page(
        self, *, state: CampaignState | None, text: str, limit: int, cursor: str | None
    ) -> CampaignPage:
        desk = self.desk
        request = PageRequest(limit, cursor)
        async with desk.read() as tx:
            found = await campaigns.list_campaigns(tx, desk.scope, state=state, text=text, request=request)
            rows = await progress_of_all(tx, desk.scope, found.items, now=desk.now())
        return CampaignPage(rows, found.total, found.next, found.previous)

    @whole
    async def follow(self, campaign_id: CampaignId) -> Followed:
        """Raises NotFound."""
        desk = self.desk
        async with desk.read() as tx:
            return await follow(tx, desk.scope, campaign_id=campaign_id, now=desk.now())

    @whole
    async def report(self, campaign_id: CampaignId) -> Report:
        """Counts the campaign's events, so it is asked every few seconds; raises NotFound."""
        desk = self.desk
        async with desk.read() as tx:
            return Report(
                await figures(tx, desk.scope, campaign_id=campaign_id, now=desk.now()),
                await causes(tx, desk.scope, campaign_id=campaign_id),
            )

    @whole
    async def review(self, campaign_id: CampaignId) -> Review:
        """Raises NotFound, and Conflict for one that was launched already."""
        desk = self.desk
        async with desk.read() as tx:
            campaign = await campaigns.get(tx, desk.scope, campaign_id=campaign_id)
            require_waiting(campaign)
            names = await campaigns.describe(tx, desk.scope, campaign)
            waits = campaign.state == CampaignState.SCHEDULED
            zone = campaign.schedule_zone if waits else (await get_tenant(tx, desk.scope)).time_zone
        items = await launch.check(desk.rt.db, desk.scope, campaign_id=campaign_id, now=desk.now())
        return Review(campaign, names, items, zone)

    @whole
    async def send(self, read: Review) -> str:
        desk = self.desk
        campaign_id = await self._as_read(read)
        done = await launch.launch(desk.rt.db, desk.scope, campaign_id=campaign_id, now=desk.now())
        whom = counted(done.audience, "recipient", "recipients")
        return f"{done.campaign.name} is on its way to {whom}"

    @whole
    async def schedule(self, read: Review, at: str) -> str:
        """`at` is written in the zone that was shown; raises InvalidInput for what is no time to come."""
        desk = self.desk
        moment = moment_in(at, read.zone)
        campaign_id = await self._as_read(read)
        done = await schedule.schedule(
            desk.rt.db, desk.scope, campaign_id=campaign_id, at=moment, zone=read.zone, now=desk.now()
        )
        local = moment.astimezone(zone_of(read.zone))
        return f"{done.campaign.name} is sent on {local:%Y-%m-%d at %H:%M} ({read.zone})"

    async def _as_read(self, read: Review) -> CampaignId:
        """Raises Conflict when it is another one by now than the one that somebody said yes to."""
        campaign_id = CampaignId(read.campaign.id or 0)
        found = await self.review(campaign_id)
        if found.campaign.updated_at != read.campaign.updated_at or found.warnings - read.warnings:
            raise Conflict(f"campaign {found.campaign.name} was changed meanwhile; read its checklist again")
        return campaign_id

    @whole
    async def unschedule(self, campaign_id: CampaignId) -> str:
        return await self._move(schedule.unschedule, campaign_id, "is a draft again")

    @whole
    async def pause(self, campaign_id: CampaignId) -> str:
        return await self._move(control.pause, campaign_id, "is paused")

    @whole
    async def resume(self, campaign_id: CampaignId) -> str:
        return await self._move(control.resume, campaign_id, "goes on")

    @whole
    async def cancel(self, campaign_id: CampaignId) -> str:
        return await self._move(control.cancel, campaign_id, "is cancelled")

    async def _move(self, verb: _Verb, campaign_id: CampaignId, words: str) -> str:
        desk = self.desk
        async with desk.write() as tx:
            campaign = await verb(tx, desk.scope, campaign_id=campaign_id, now=desk.now())
        return f"{campaign.name} {words}"
