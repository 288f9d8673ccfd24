"""The campaigns with their progress, live; pause, resume and cancel."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId
from mailengine.domain.campaigns import control
from mailengine.models import CampaignState
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.live import campaign_events, read_overview
from mailengine.web.redirects import HOME, go_to
from mailengine.web.rendering import html
from mailengine.web.site import Site

ACTS = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}
DONE = {
    CampaignState.PAUSED: "is paused",
    CampaignState.SENDING: "is being sent again",
    CampaignState.CANCELLED: "is cancelled",
}


@get("/", sync_to_thread=False)
def home() -> Response[Any]:
    """The first page is the campaigns'."""
    return go_to(HOME)


@get(HOME)
async def campaigns(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The newest campaigns."""
    overview = await read_overview(site, request.auth)
    return await page(site, request, "pages/campaigns.html", said="", **overview.values())


@get("/events/campaigns", sync_to_thread=False)
def events(request: UserRequest, site: NamedDependency[Site]) -> Stream:
    """The rows anew whenever something changed, as server-sent events."""
    return Stream(
        campaign_events(site, request),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # nginx would hold events back until its buffer is full
    )


@post("/campaigns/{campaign_id:int}/{act:str}", status_code=200)
async def change(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int], act: FromPath[str]
) -> Response[Any]:
    """Pause, resume or cancel; htmx gets the rows and a toast, a plain form the page."""
    scope = request.auth.scope
    if act not in ACTS:
        raise NotFound("there is no such page")
    async with site.rt.db.write(scope) as tx:
        campaign = await ACTS[act](tx, scope, campaign_id=CampaignId(campaign_id), now=site.rt.clock.now())
    if request.headers.get("hx-request") != "true":
        return go_to(HOME)
    overview = await read_overview(site, request.auth)
    said = f"{campaign.name} {DONE[CampaignState(campaign.state)]}"
    return html(
        site.render(
            "fragments/campaign_rows.html", **overview.values(), csrf=request.auth.csrf_token, said=said
        )
    )
