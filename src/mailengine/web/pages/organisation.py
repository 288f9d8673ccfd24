"""What the organisation is called and where it is."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.scope import Grant
from mailengine.domain.accounts.countries import COUNTRIES
from mailengine.domain.accounts.tenants import get_tenant, update_tenant
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
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
    }
    return await organisation_page(site, request, Form(values))


@post("/settings/organisation", opt={NEEDS: Grant.MANAGE})
async def change(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Campaigns that were sent keep what they had."""
    form, scope = await Form.of(request), request.auth.scope
    details = check_organisation(form)
    if details is None:
        return await organisation_page(site, request, form)
    async with site.rt.db.write(scope) as tx:
        await update_tenant(
            tx,
            scope,
            name=details.name,
            country=details.country,
            postal_address=details.postal_address,
            now=site.rt.clock.now(),
        )
    return done(site, "/settings/organisation", "Saved")


async def organisation_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    return await form_page(
        site, request, "pages/account/organisation.html", form, countries=country_options()
    )


def country_options() -> list[tuple[str, str]]:
    """For a choice: by their names."""
    return sorted(COUNTRIES.items(), key=lambda pair: pair[1])
