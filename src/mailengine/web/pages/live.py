"""Live progress: the campaigns' rows, and a stream of them that sends only what changed.

Invariants: a stream ends when its session does, when the browser leaves and when the daemon stops, so that a
shutdown never waits for one; it holds no database connection between two looks.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from litestar.response import Stream

from mailengine.core.errors import NotFound, Unavailable
from mailengine.core.scope import Grant
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.campaigns.campaigns import list_campaigns
from mailengine.domain.reports.campaigns import Overall, Progress, overall, progress_of_all
from mailengine.domain.reports.speed import Speeds
from mailengine.models import Campaign, CampaignState
from mailengine.web.pages.frame import UserRequest
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.session import find_login
from mailengine.web.site import Site

PATH = "/campaigns"
LOOK_SECONDS = 0.5
PING_SECONDS = 15.0  # a proxy that hears nothing for a minute closes the connection


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure at the top of the page."""

    label: str
    value: int
    detail: str = ""
    trend: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """What fragments/campaign_rows.html shows; `listing` has the campaigns' rows, `campaigns` their progress."""

    stats: list[Stat]
    listing: Listing[Campaign]
    campaigns: list[Progress]
    may_send: bool

    def values(self) -> dict[str, Any]:
        return {
            "stats": self.stats,
            "listing": self.listing,
            "campaigns": self.campaigns,
            "may_send": self.may_send,
        }


async def read_overview(site: Site, request: UserRequest, login: Login) -> Overview:
    """The campaigns that the address asks for, newest first, and the figures of all."""
    scope, params, now = login.scope, params_of(request, "state"), site.rt.clock.now()
    state = one_of(params["state"], CampaignState)
    async with site.rt.db.read(scope) as tx:
        page = await list_campaigns(tx, scope, state=state, text=params["q"], request=page_of(params))
        rows = await progress_of_all(tx, scope, page.items, now=now)
        figures = await overall(tx, scope)
    listing = Listing(PATH, params, page, "campaign", "campaigns")
    return Overview(stats_of(figures), listing, rows, Grant.SEND in scope.grants)


def stats_of(figures: Overall) -> list[Stat]:
    return [
        Stat("Campaigns", figures.campaigns, f"{figures.under_way} under way" if figures.under_way else ""),
        Stat("Messages sent", figures.sent),
        Stat("Waiting", figures.queued),
        Stat("Failed", figures.failed, f"{figures.doubt:,} in doubt" if figures.doubt else ""),
    ]


Rendered = Callable[[Login], Awaitable[str]]


def stream(site: Site, request: UserRequest, rendered: Rendered) -> Stream:
    """What `rendered` gives, anew whenever it changed, as server-sent events."""
    return Stream(
        _events(site, request, rendered),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # nginx would hold events back until its buffer is full
    )


async def _events(site: Site, request: UserRequest, rendered: Rendered) -> AsyncIterator[bytes]:
    """Until the session ends or the daemon stops."""
    sent, quiet_seconds = "", 0.0
    while not site.stopping.is_set():
        shown = await _look(site, request, rendered)
        if shown is None:
            return
        if shown != sent:
            sent, quiet_seconds = shown, 0.0
            yield event(shown)
        elif quiet_seconds >= PING_SECONDS:
            quiet_seconds = 0.0
            yield b": ping\n\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(site.stopping.wait(), LOOK_SECONDS)
        quiet_seconds += LOOK_SECONDS


async def _look(site: Site, request: UserRequest, rendered: Rendered) -> str | None:
    """The fragment as it is now; None once the session is over, its subject or the database is gone."""
    try:
        login = await find_login(site, request)
        return None if login is None else await rendered(login)
    except (Unavailable, NotFound):
        return None  # htmx connects again after a while, and then sees the error


def campaign_events(site: Site, request: UserRequest) -> Stream:
    """The campaigns' rows, with the speed of the last seconds."""
    speeds = Speeds()

    async def rendered(login: Login) -> str:
        overview = await read_overview(site, request, login)
        now = site.rt.clock.now()
        overview = replace(overview, campaigns=[speeds.of(row, now) for row in overview.campaigns])
        return site.render(
            "fragments/campaign_rows.html", **overview.values(), csrf=login.csrf_token, said=""
        )

    return stream(site, request, rendered)


def event(data: str) -> bytes:
    """One server-sent event (WHATWG HTML 9.2.5); the three line ends there are, and no other, end a line."""
    lines = re.split(r"\r\n|\r|\n", data)
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
