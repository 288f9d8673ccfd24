"""The first page: how the sender stands, what was sent lately, what is still to be set up."""

from dataclasses import dataclass

from litestar import Response, get
from litestar.di import NamedDependency

from mailengine.core.paging import PageRequest
from mailengine.domain.contacts.browsing import Filter, browse, state_counts
from mailengine.domain.content.templates import list_templates
from mailengine.domain.reports.campaigns import overall, recent_progress
from mailengine.domain.reports.health import health
from mailengine.domain.senders.relays import list_relays
from mailengine.models import ContactState
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.live import Stat
from mailengine.web.rendering import html
from mailengine.web.site import Site

RECENT = 5
COUNTS = "/dashboard/counts"


@dataclass(frozen=True, slots=True)
class Todo:
    """One thing without which nothing can be sent."""

    label: str
    href: str
    done: bool


@get("/")
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The dashboard."""
    scope, now = request.auth.scope, site.rt.clock.now()
    one = PageRequest(limit=1, count=False)
    async with site.rt.db.read(scope) as tx:
        figures = await overall(tx, scope)
        campaigns = await recent_progress(tx, scope, limit=RECENT, now=now)
        signs = await health(tx, scope, now=now)
        people = await browse(tx, scope, Filter(), page=one)
        todo = [
            Todo("Add the server that sends", "/relays", bool((await list_relays(tx, scope)).items)),
            Todo("Verify a sending domain", "/domains", bool(signs.verified)),
            Todo("Add contacts", "/contacts", bool(people.items)),
            Todo("Make a template", "/templates", bool((await list_templates(tx, scope, request=one)).items)),
            Todo("Send a campaign", "/campaigns", figures.sent > 0),
        ]
    stats = [
        Stat("Campaigns", figures.campaigns, f"{figures.under_way} under way" if figures.under_way else ""),
        Stat("Messages sent", figures.sent, f"{signs.sent:,} in the last 30 days"),
        Stat("Waiting", figures.queued),
    ]
    return await page(
        site,
        request,
        "pages/dashboard.html",
        counts=COUNTS,
        stats=stats,
        campaigns=campaigns,
        health=signs,
        todo=todo,
        open_todo=[item for item in todo if not item.done],
    )


@get(COUNTS)
async def counts(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """How many contacts are subscribed: a piece of the page, which does not wait for their count."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        states = await state_counts(tx, scope)
    subscribed = states.get(ContactState.SUBSCRIBED, 0)
    return html(site.render("fragments/dashboard_counts.html", subscribed=subscribed))
