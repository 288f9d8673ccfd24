"""The campaigns with their progress, live; pause, resume, cancel, delete, duplicate."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns import campaigns as rules
from mailengine.domain.campaigns import control
from mailengine.domain.campaigns.schedule import unschedule
from mailengine.models import Campaign, CampaignState
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.live import PATH, campaign_events, read_overview
from mailengine.web.rendering import html
from mailengine.web.site import Site

ACTS = {
    "pause": control.pause,
    "resume": control.resume,
    "cancel": control.cancel,
    "unschedule": unschedule,
}
DONE = {
    CampaignState.PAUSED: "is paused",
    CampaignState.SENDING: "is being sent again",
    CampaignState.CANCELLED: "is cancelled",
    CampaignState.DRAFT: "is a draft again",
}
MAX_NAME = 180  # leaves room for what tells a copy from its source


@get(PATH)
async def campaigns(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The campaigns that fit the search and the tab."""
    overview = await read_overview(site, request, request.auth)
    return await page(
        site, request, "pages/campaigns.html", said="", states=list(CampaignState), **overview.values()
    )


@get("/events/campaigns", sync_to_thread=False)
def events(request: UserRequest, site: NamedDependency[Site]) -> Stream:
    """The rows anew whenever something changed, as server-sent events."""
    return campaign_events(site, request)


@post("/campaigns/{campaign_id:int}/{act:str}", status_code=200)
async def change(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int], act: FromPath[str]
) -> Response[Any]:
    """Pause, resume or cancel; from the list htmx gets the rows and a toast, everybody else the page."""
    scope, chosen, now = request.auth.scope, CampaignId(campaign_id), site.rt.clock.now()
    if act not in ACTS:
        return await end_or_copy(site, scope, chosen, act)
    async with site.rt.db.write(scope) as tx:
        campaign = await ACTS[act](tx, scope, campaign_id=chosen, now=now)
    said = f"{campaign.name} {DONE[CampaignState(campaign.state)]}"
    if request.headers.get("hx-target") != "div#campaigns":
        return done(site, f"{PATH}/{campaign_id}", said)
    overview = await read_overview(site, request, request.auth)
    return html(
        site.render(
            "fragments/campaign_rows.html", **overview.values(), csrf=request.auth.csrf_token, said=said
        )
    )


async def end_or_copy(site: Site, scope: Scope, campaign_id: CampaignId, act: str) -> Response[Any]:
    """Delete or duplicate."""
    now = site.rt.clock.now()
    if act == "delete":
        async with site.rt.db.write(scope) as tx:
            campaign = await rules.delete(tx, scope, campaign_id=campaign_id, now=now)
        return done(site, PATH, f"{campaign.name} was deleted")
    if act == "duplicate":
        async with site.rt.db.write(scope) as tx:
            source = await rules.get(tx, scope, campaign_id=campaign_id)
            name = await free_name(tx, scope, source)
            copy = await rules.duplicate(tx, scope, campaign_id=campaign_id, name=name, now=now)
        return done(site, f"{PATH}/{copy.id}/content", f"This is the copy, {copy.name}")
    raise NotFound("there is no such page")


async def free_name(tx: ReadTx, scope: Scope, source: Campaign) -> str:
    """`Spring (copy)`, `Spring (copy 2)` …"""
    base = source.name[:MAX_NAME]
    taken = await rules.list_campaigns(tx, scope, text=base, request=PageRequest(limit=1000))
    names = {row.name for row in taken.items}
    tries = (f"{base} (copy{'' if number == 1 else f' {number}'})" for number in range(1, 1002))
    return next(tried for tried in tries if tried not in names)
