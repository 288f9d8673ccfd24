"""Campaigns over the API: drafts, the checklist, sending, and what became of it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.core.zones import moment_in
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns import campaigns, control, launch, schedule
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.reports.campaigns import figures
from mailengine.domain.reports.progress import follow
from mailengine.models import Campaign, CampaignState
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site

ListNames = Annotated[list[Name], msgspec.Meta(max_length=100)]
State = Annotated[CampaignState | None, QueryParameter(name="state")]


class CampaignShape(msgspec.Struct):
    """A campaign as it was written; its figures are in the report. `scheduled_at` is when it is sent by itself, or
    was to be: then `schedule_faults` says why it was not. `schedule_zone` is in which that time was told."""

    id: int
    name: str
    state: CampaignState
    template_id: int
    list_ids: list[int]
    segment_ids: list[int]
    excluded_list_ids: list[int]
    excluded_segment_ids: list[int]
    subject: str
    from_name: str
    from_email: str
    reply_to: str
    track_opens: bool
    track_clicks: bool
    created_at: datetime
    updated_at: datetime
    scheduled_at: datetime | None
    schedule_zone: str
    schedule_faults: list[str]
    launched_at: datetime | None
    finished_at: datetime | None


class NewCampaign(Given):
    """Template, lists, segments and relay by name; `sender` like `Acme <news@example.org>`. It goes to the members
    of the lists whom one of the segments describes; one of both may be left out. Without relay: the first. What is
    counted is the tenant's setting unless it is said here."""

    name: Name
    template: Name
    subject: Line
    sender: Line
    lists: ListNames = msgspec.field(default_factory=list)
    segments: ListNames = msgspec.field(default_factory=list)
    exclude_lists: ListNames = msgspec.field(default_factory=list)
    exclude_segments: ListNames = msgspec.field(default_factory=list)
    reply_to: Line | None = None
    relay: Name | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None


class CampaignChange(Given):
    """What is left out stays."""

    name: Name | None = None
    template: Name | None = None
    lists: ListNames | None = None
    segments: ListNames | None = None
    exclude_lists: ListNames | None = None
    exclude_segments: ListNames | None = None
    subject: Line | None = None
    sender: Line | None = None
    reply_to: Line | None = None
    relay: Name | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None


class CheckItem(msgspec.Struct):
    """One rule's verdict: an error blocks the sending, a warning does not."""

    code: str
    level: Literal["ok", "warning", "error"]
    message: str


class Checklist(msgspec.Struct):
    """`sendable` is false while there is an error."""

    sendable: bool
    items: list[CheckItem]


class Launched(msgspec.Struct):
    """What was started or waits, and the warnings that were passed over."""

    campaign: CampaignShape
    audience: int
    warnings: list[CheckItem]


class Times(Given):
    """`at` like `2026-12-31 09:00` in `time_zone` (the tenant's when it is left out), or with an offset."""

    at: Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=NO_NUL)]
    time_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=NO_NUL)] | None = None


class Counted(msgspec.Struct):
    """All of them, and by how many different recipients."""

    total: int
    unique: int


class LinkReport(msgspec.Struct):
    url: str
    total: int
    unique: int


class HourReport(msgspec.Struct):
    """Opens and clicks of the hour that begins at `at`."""

    at: datetime
    opens: int
    clicks: int


class Report(msgspec.Struct):
    """`total` is null while recipients are still being found; `sent` were accepted by the server; `doubt` were
    on the wire when the connection broke; `rate` is messages a second; `dead_letters` counts by cause; `held` says
    what keeps it from going on, a sentence each."""

    id: int
    name: str
    state: CampaignState
    total: int | None
    queued: int
    sent: int
    failed: int
    skipped: int
    doubt: int
    launched_at: datetime | None
    finished_at: datetime | None
    rate: float | None
    seconds_left: float | None
    opens: Counted
    clicks: Counted
    unsubscribes: int
    top_links: list[LinkReport]
    by_hour: list[HourReport]
    dead_letters: dict[str, int]
    held: list[str]


class Campaigns(Controller):
    """Messages to lists."""

    path = "/campaigns"
    tags = ("campaigns",)

    @get(**READ, summary="List campaigns")
    async def list_campaigns(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        in_state: State = None,
        search: Search = None,
    ) -> PageOf[CampaignShape]:
        """Newest first; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = await campaigns.list_campaigns(
                tx, caller, state=in_state, text=search or "", request=page_request(limit, cursor)
            )
        return page_of(page, shape)

    @get("/{campaign_id:int}", **READ_ONE, summary="Get a campaign")
    async def get_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> CampaignShape:
        async with site.rt.db.read(caller) as tx:
            return shape(await campaigns.get(tx, caller, campaign_id=campaign_id))

    @post(**WRITE, summary="Add a campaign")
    async def create_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewCampaign]
    ) -> CampaignShape:
        """A draft; nothing is sent."""
        async with site.rt.db.write(caller) as tx:
            return shape(await campaigns.create(tx, caller, fields(data), now=site.rt.clock.now()))

    @patch("/{campaign_id:int}", **WRITE, summary="Change a draft")
    async def change_campaign(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        campaign_id: Id,
        data: JSONBody[CampaignChange],
    ) -> CampaignShape:
        async with site.rt.db.write(caller) as tx:
            row = await campaigns.update(
                tx,
                caller,
                campaign_id=CampaignId(campaign_id),
                fields=fields(data),
                now=site.rt.clock.now(),
            )
        return shape(row)

    @delete("/{campaign_id:int}", **WRITE, summary="Delete a campaign")
    async def delete_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> None:
        """Not while it is being sent."""
        async with site.rt.db.write(caller) as tx:
            await campaigns.delete(tx, caller, campaign_id=CampaignId(campaign_id), now=site.rt.clock.now())

    @get("/{campaign_id:int}/checklist", **WRITE, summary="Check a campaign")
    async def check_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> Checklist:
        """What would stop it from being sent now, and what one should know before."""
        now = site.rt.clock.now()
        items = await launch.check(site.rt.db, caller, campaign_id=CampaignId(campaign_id), now=now)
        found = [CheckItem(item.code, item.level, item.message) for item in items]
        return Checklist(all(item.level != "error" for item in found), found)

    @post("/{campaign_id:int}/send", status_code=202, **WRITE, summary="Send a campaign")
    async def send_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> Launched:
        """Refused with every reason that the checklist has."""
        done = await launch.launch(
            site.rt.db, caller, campaign_id=CampaignId(campaign_id), now=site.rt.clock.now()
        )
        warnings = [CheckItem(item.code, item.level, item.message) for item in done.warnings]
        return Launched(shape(done.campaign), done.audience, warnings)

    @post("/{campaign_id:int}/schedule", status_code=200, **WRITE, summary="Have a campaign sent later")
    async def schedule_campaign(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        campaign_id: Id,
        data: JSONBody[Times],
    ) -> Launched:
        """Refused with every reason that the checklist has; it is gone through once more at that time. One that is
        scheduled gets another time."""
        async with site.rt.db.read(caller) as tx:
            zone = data.time_zone or (await get_tenant(tx, caller)).time_zone
        done = await schedule.schedule(
            site.rt.db,
            caller,
            campaign_id=CampaignId(campaign_id),
            at=moment_in(data.at, zone),
            zone=zone,
            now=site.rt.clock.now(),
        )
        warnings = [CheckItem(item.code, item.level, item.message) for item in done.warnings]
        return Launched(shape(done.campaign), done.audience, warnings)

    @post("/{campaign_id:int}/unschedule", status_code=200, **WRITE, summary="Make it a draft again")
    async def unschedule_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> CampaignShape:
        """Only one that is scheduled."""
        async with site.rt.db.write(caller) as tx:
            chosen, now = CampaignId(campaign_id), site.rt.clock.now()
            return shape(await schedule.unschedule(tx, caller, campaign_id=chosen, now=now))

    @post("/{campaign_id:int}/pause", status_code=200, **WRITE, summary="Pause a campaign")
    async def pause_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> CampaignShape:
        """Holds within a second."""
        async with site.rt.db.write(caller) as tx:
            chosen, now = CampaignId(campaign_id), site.rt.clock.now()
            return shape(await control.pause(tx, caller, campaign_id=chosen, now=now))

    @post("/{campaign_id:int}/resume", status_code=200, **WRITE, summary="Resume a paused campaign")
    async def resume_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> CampaignShape:
        async with site.rt.db.write(caller) as tx:
            chosen, now = CampaignId(campaign_id), site.rt.clock.now()
            return shape(await control.resume(tx, caller, campaign_id=chosen, now=now))

    @post("/{campaign_id:int}/cancel", status_code=200, **WRITE, summary="Cancel a campaign")
    async def cancel_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> CampaignShape:
        """For good: who did not get it yet never will."""
        async with site.rt.db.write(caller) as tx:
            chosen, now = CampaignId(campaign_id), site.rt.clock.now()
            return shape(await control.cancel(tx, caller, campaign_id=chosen, now=now))

    @get("/{campaign_id:int}/report", **READ_ONE, summary="See what became of a campaign")
    async def report_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> Report:
        chosen, now = CampaignId(campaign_id), site.rt.clock.now()
        async with site.rt.db.read(caller) as tx:
            found = await figures(tx, caller, campaign_id=chosen, now=now)
            held = (await follow(tx, caller, campaign_id=chosen, now=now)).held
        flat = msgspec.to_builtins(found)
        return msgspec.convert(flat | flat["progress"] | {"held": list(held)}, Report)


def shape(row: Campaign) -> CampaignShape:
    return msgspec.convert(row.model_dump(), CampaignShape)


def fields(data: NewCampaign | CampaignChange) -> Fields:
    return Fields(**msgspec.structs.asdict(data))
