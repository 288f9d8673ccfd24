"""Settings of the organisation: its name and place, what its pages link to, what its campaigns count."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.scope import Grant
from mailengine.domain.accounts.countries import COUNTRIES
from mailengine.domain.accounts.tenants import (
    TenantChange,
    check_link,
    check_zone,
    get_tenant,
    update_tenant,
)
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.review import zones
from mailengine.web.pages.sign_up import check_organisation
from mailengine.web.session import NEEDS
from mailengine.web.site import Site


@get("/settings/organisation")
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """As it is now."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
    values = {
        "organisation": tenant.name,
        "country": tenant.country,
        "postal_address": tenant.postal_address,
        "time_zone": tenant.time_zone,
    }
    return await organisation_page(site, request, Form(values))


@post("/settings/organisation", opt={NEEDS: Grant.MANAGE})
async def change(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Campaigns that were sent keep what they had."""
    form, scope = await Form.of(request), request.auth.scope
    details = check_organisation(form)
    with form.checking("time_zone"):
        check_zone(form.text("time_zone"))
    if details is None or form.failed:
        return await organisation_page(site, request, form)
    change = TenantChange(
        details.name, details.country, details.postal_address, time_zone=form.text("time_zone")
    )
    async with site.rt.db.write(scope) as tx:
        await update_tenant(tx, scope, change, now=site.rt.clock.now())
    return done(site, "/settings/organisation", "Saved")


@get("/settings/links")
async def links(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """As they are now."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
    values = {
        "privacy_url": tenant.privacy_url,
        "terms_url": tenant.terms_url,
        "track_opens": "1" if tenant.track_opens else None,
        "track_clicks": "1" if tenant.track_clicks else None,
    }
    return await _links_page(site, request, Form(values))


@post("/settings/links", opt={NEEDS: Grant.MANAGE})
async def change_links(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Pages follow at once; drafts and what was sent keep what they count."""
    form, scope = await Form.of(request), request.auth.scope
    for name in ("privacy_url", "terms_url"):
        with form.checking(name):
            check_link(form.text(name))
    if form.failed:
        return await _links_page(site, request, form)
    change = TenantChange(
        privacy_url=form.text("privacy_url"),
        terms_url=form.text("terms_url"),
        track_opens=form.flag("track_opens"),
        track_clicks=form.flag("track_clicks"),
    )
    async with site.rt.db.write(scope) as tx:
        await update_tenant(tx, scope, change, now=site.rt.clock.now())
    return done(site, "/settings/links", "Saved")


async def _links_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    return await form_page(
        site, request, "pages/account/links.html", form, base_url=site.rt.settings.base_url
    )


async def organisation_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    return await form_page(
        site, request, "pages/account/organisation.html", form, countries=country_options(), zones=zones()
    )


def country_options() -> list[tuple[str, str]]:
    """For a choice: by their names."""
    return sorted(COUNTRIES.items(), key=lambda pair: pair[1])
