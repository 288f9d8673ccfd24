"""Campaigns: their list, one of them as it is sent, its report, and what can be done with it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.campaigns import campaigns, control
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


class _Verb(Protocol):
    """A verb of `control`."""

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
