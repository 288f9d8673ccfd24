"""API keys: made, shown once, revoked."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Grant
from mailengine.domain.accounts import api_keys
from mailengine.domain.accounts.roles import role_of
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.listing import Listing, either, page_of, params_of
from mailengine.web.pages.team import MANAGE_AND_FRESH, roles_for
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

PATH = "/settings/keys"


@get(PATH, opt={NEEDS: Grant.MANAGE})
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """All keys, revoked ones too."""
    return await keys_page(site, request, Form())


@post(PATH, opt=MANAGE_AND_FRESH)
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The page with the key on it, this once."""
    form, scope, made = await Form.of(request), request.auth.scope, ""
    with form.checking("name"):
        async with site.rt.db.write(scope) as tx:
            role = role_of(form.text("role"))
            key = await api_keys.create(tx, scope, name=form.text("name"), role=role, now=site.rt.clock.now())
            made = key.token
    return await keys_page(site, request, form if form.failed else Form(), made="" if form.failed else made)


@post("/settings/keys/{key_id:int}/revoke", opt=MANAGE_AND_FRESH)
async def revoke(request: UserRequest, site: NamedDependency[Site], key_id: FromPath[int]) -> Response[Any]:
    """Refuse the key from now on."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        name = await api_keys.name_of(tx, scope, key_id=key_id)
        await api_keys.revoke(tx, scope, name=name, now=site.rt.clock.now())
    return done(site, PATH, f"{name} was revoked")


async def keys_page(site: Site, request: UserRequest, form: Form, *, made: str = "") -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "revoked")
    chosen = either(params["revoked"])
    async with site.rt.db.read(scope) as tx:
        found = await api_keys.list_(tx, scope, request=page_of(params), text=params["q"], revoked=chosen)
    return await form_page(
        site,
        request,
        "pages/account/keys.html",
        form,
        listing=Listing(PATH, params, found, "key", "keys"),
        roles=roles_for(scope),
        made=made,
    )
