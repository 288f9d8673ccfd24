"""Deleted campaigns and templates: until when they can be brought back, and the way back. Deleted contacts are a tab
of the contacts' page."""

from datetime import timedelta
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.paging import Page
from mailengine.domain.campaigns import trash
from mailengine.domain.contacts.contacts import RESTORABLE
from mailengine.models import Campaign, Template
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, page_of, params_of
from mailengine.web.site import Site

# What the filter of the page calls the time that is left.
SOON = {"day": timedelta(days=1), "week": timedelta(days=7)}


@get("/campaigns/deleted")
async def campaigns(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "erased")
    async with site.rt.db.read(scope) as tx:
        found = await trash.deleted_campaigns(
            tx,
            scope,
            now=site.rt.clock.now(),
            page=page_of(params),
            text=params["q"],
            within=SOON.get(params["erased"]),
        )
    return await _show(site, request, "campaign", found, params)


@get("/templates/deleted")
async def templates(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "erased")
    async with site.rt.db.read(scope) as tx:
        found = await trash.deleted_templates(
            tx,
            scope,
            now=site.rt.clock.now(),
            page=page_of(params),
            text=params["q"],
            within=SOON.get(params["erased"]),
        )
    return await _show(site, request, "template", found, params)


@post("/campaigns/deleted/{campaign_id:int}")
async def restore_campaign(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        row = await trash.restore_campaign(tx, scope, campaign_id=campaign_id, now=site.rt.clock.now())
    return done(site, f"/campaigns/{campaign_id}", f"{row.name} is back")


@post("/templates/deleted/{template_id:int}")
async def restore_template(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int]
) -> Response[Any]:
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        row = await trash.restore_template(tx, scope, template_id=template_id, now=site.rt.clock.now())
    return done(site, "/templates", f"{row.name} is back")


def _wanted(site: Site, params: dict[str, str]) -> dict[str, Any]:
    return {
        "now": site.rt.clock.now(),
        "page": page_of(params),
        "text": params["q"],
        "within": SOON.get(params["erased"]),
    }


async def _show(
    site: Site,
    request: UserRequest,
    kind: str,
    found: Page[Campaign] | Page[Template],
    params: dict[str, str],
) -> Response[str]:
    listing: Listing[Any] = Listing(f"/{kind}s/deleted", params, found, kind, f"{kind}s")
    return await page(site, request, "pages/trash.html", kind=kind, listing=listing, restorable=RESTORABLE)
