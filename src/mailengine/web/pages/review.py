"""The last step of a campaign: the checklist, and the buttons that send it, now or later (P4-03, P4-07)."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.core.wording import counted
from mailengine.core.zones import moment_in, zone_of
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns import campaigns, launch
from mailengine.domain.campaigns import schedule as schedules
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.wizard import PATH, STEPS, draft_of
from mailengine.web.site import Site

LATER = "later"


@get("/campaigns/{campaign_id:int}/review")
async def review(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """What is sent, to whom, and whether it can be."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        zone = (await get_tenant(tx, scope)).time_zone
    return await _review(site, request, Form({"zone": zone}), campaign_id)


@post("/campaigns/{campaign_id:int}/review")
async def send(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    """Send, now or later; warnings have to be accepted, errors block."""
    scope, form, now = request.auth.scope, await Form.of(request), site.rt.clock.now()
    act = _later if form.text("act") == LATER else _now
    with form.checking("accepted"):
        items = await launch.check(site.rt.db, scope, campaign_id=CampaignId(campaign_id), now=now)
        if any(item.level == "warning" for item in items) and not form.flag("accepted"):
            raise InvalidInput("read the warnings and say that you accept them")
        words = await act(site, scope, form, CampaignId(campaign_id), now)
        if words:
            return done(site, f"{PATH}/{campaign_id}", words)
    return await _review(site, request, form, campaign_id)


async def _now(site: Site, scope: Scope, _form: Form, campaign_id: CampaignId, now: datetime) -> str:
    launched = await launch.launch(site.rt.db, scope, campaign_id=campaign_id, now=now)
    whom = counted(launched.audience, "recipient", "recipients")
    return f"{launched.campaign.name} is on its way to {whom}"


async def _later(site: Site, scope: Scope, form: Form, campaign_id: CampaignId, now: datetime) -> str:
    """Empty when the time is wrong, which is then said at its field."""
    at, zone = now, form.text("zone") or "UTC"
    with form.checking("zone"):
        zone_of(zone)
    with form.checking("time"):
        at = moment_in(f"{form.text('date')} {form.text('time')}", zone)
        schedules.check_time(at, now)
    if form.failed:
        return ""
    found = await schedules.schedule(site.rt.db, scope, campaign_id=campaign_id, at=at, zone=zone, now=now)
    local = at.astimezone(zone_of(zone))
    return f"{found.campaign.name} is sent on {local:%-d %B %Y at %H:%M} ({zone})"


async def _review(site: Site, request: UserRequest, form: Form, campaign_id: int) -> Response[str]:
    row = await draft_of(site, request, campaign_id)
    scope, now = request.auth.scope, site.rt.clock.now()
    items = await launch.check(site.rt.db, scope, campaign_id=CampaignId(campaign_id), now=now)
    async with site.rt.db.read(scope) as tx:
        names = await campaigns.describe(tx, scope, row)
    return await form_page(
        site, request, "pages/campaign_review.html", form,
        campaign=row, items=items, names=names, steps=STEPS, step="review", zones=zones(),
        blocked=any(item.level == "error" for item in items),
        warned=any(item.level == "warning" for item in items),
    )  # fmt: skip


@cache  # 600 files are looked into
def zones() -> Sequence[tuple[str, str]]:
    """Time zones for a menu: places, and UTC, not the offsets and old names."""
    named = {
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/"))
    }
    return [(name, name.replace("_", " ")) for name in ["UTC", *sorted(named)]]
