"""Live progress: the campaigns' rows, and a stream of them that sends only what changed.

Invariants: a stream ends when its session does, when the browser leaves and when the daemon stops, so that a
shutdown never waits for one; it holds no database connection between two looks.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mailengine.core.errors import Unavailable
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Grant
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.reports.campaigns import Overall, Progress, overall, recent_progress
from mailengine.models import CampaignState
from mailengine.web.pages.frame import UserRequest
from mailengine.web.session import find_login
from mailengine.web.site import Site

SHOWN = 50
LOOK_SECONDS = 0.5
PING_SECONDS = 15.0  # a proxy that hears nothing for a minute closes the connection
RATE_SECONDS = 10.0  # the speed shown is that of the last ten seconds


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure at the top of the page."""

    label: str
    value: int
    detail: str = ""
    trend: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """What fragments/campaign_rows.html shows."""

    stats: list[Stat]
    campaigns: list[Progress]
    may_send: bool

    def values(self) -> dict[str, Any]:
        return {"stats": self.stats, "campaigns": self.campaigns, "may_send": self.may_send}


async def read_overview(site: Site, login: Login) -> Overview:
    """The newest campaigns and the figures of all."""
    scope = login.scope
    async with site.rt.db.read(scope) as tx:
        rows = await recent_progress(tx, scope, limit=SHOWN, now=site.rt.clock.now())
        figures = await overall(tx, scope)
    return Overview(stats_of(figures), rows, Grant.SEND in scope.grants)


def stats_of(figures: Overall) -> list[Stat]:
    return [
        Stat("Campaigns", figures.campaigns, f"{figures.under_way} under way" if figures.under_way else ""),
        Stat("Messages sent", figures.sent),
        Stat("Waiting", figures.queued),
        Stat("Failed", figures.failed, f"{figures.doubt:,} in doubt" if figures.doubt else ""),
    ]


class Speeds:
    """Messages a second of each campaign, from what was seen in the last seconds."""

    def __init__(self) -> None:
        self._seen: dict[CampaignId, deque[tuple[datetime, int]]] = {}

    def of(self, row: Progress, now: datetime) -> Progress:
        """The row with the present speed; before two looks it keeps the average since the launch."""
        if row.state != CampaignState.SENDING:
            self._seen.pop(row.id, None)
            return row
        seen = self._seen.setdefault(row.id, deque())
        handled = row.sent + row.failed + row.doubt
        seen.append((now, handled))
        while (now - seen[0][0]).total_seconds() > RATE_SECONDS:
            seen.popleft()
        seconds = (now - seen[0][0]).total_seconds()
        if seconds < 1:
            return row
        rate = (handled - seen[0][1]) / seconds
        left = row.queued / rate if rate and row.total is not None else None
        return replace(row, rate=rate, seconds_left=left)


async def campaign_events(site: Site, request: UserRequest) -> AsyncIterator[bytes]:
    """The rows as events, until the session ends or the daemon stops."""
    speeds, sent, quiet_seconds = Speeds(), "", 0.0
    while not site.stopping.is_set():
        rows = await changed_rows(site, request, speeds)
        if rows is None:
            return
        if rows != sent:
            sent, quiet_seconds = rows, 0.0
            yield event(rows)
        elif quiet_seconds >= PING_SECONDS:
            quiet_seconds = 0.0
            yield b": ping\n\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(site.stopping.wait(), LOOK_SECONDS)
        quiet_seconds += LOOK_SECONDS


async def changed_rows(site: Site, request: UserRequest, speeds: Speeds) -> str | None:
    """The fragment as it is now; None once the session is over or the database is gone."""
    try:
        login = await find_login(site, request)
        if login is None:
            return None
        overview = await read_overview(site, login)
    except Unavailable:
        return None  # htmx connects again after a while, and then sees the error
    now = site.rt.clock.now()
    overview = replace(overview, campaigns=[speeds.of(row, now) for row in overview.campaigns])
    return site.render("fragments/campaign_rows.html", **overview.values(), csrf=login.csrf_token, said="")


def event(data: str) -> bytes:
    """One server-sent event (WHATWG HTML 9.2.5); the three line ends there are, and no other, end a line."""
    lines = re.split(r"\r\n|\r|\n", data)
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
