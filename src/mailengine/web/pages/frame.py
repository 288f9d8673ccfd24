"""What every page behind the login shows around its content."""

from typing import Any

from litestar import Request, Response
from litestar.datastructures import State

from mailengine.domain.accounts.auth import Login
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.delivery.kill_switch import state as kill_state
from mailengine.web.rendering import html, theme_of
from mailengine.web.session import instance_scope
from mailengine.web.site import Site

UserRequest = Request[Any, Login, State]


async def frame(site: Site, request: UserRequest) -> dict[str, Any]:
    """The variables of layouts/app.html."""
    login = request.auth
    async with site.rt.db.read(login.scope) as tx:
        tenant = await get_tenant(tx, login.scope)
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        switches = await kill_state(tx, instance)
    switch = switches.instance or switches.tenants.get(login.scope.tenant_id)
    return {
        "theme": theme_of(request),
        "organisation": tenant.name,
        "user_email": login.user.email,
        "csrf": login.csrf_token,
        "catcher": site.rt.settings.catcher.maildir is not None,
        "stopped_since": switch.set_at if switch else None,
    }


async def page(site: Site, request: UserRequest, template: str, **values: object) -> Response[str]:
    """A whole page."""
    return html(site.render(template, **await frame(site, request), **values))
