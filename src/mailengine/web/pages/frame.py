"""What every page behind the login shows around its content, and how an act ends."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response
from litestar.datastructures import State

from mailengine.core.scope import Grant
from mailengine.domain.accounts.auth import organisations_of
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.delivery import kill_switch
from mailengine.web import flash
from mailengine.web.forms import Form
from mailengine.web.pages.navigation import navigation
from mailengine.web.rendering import html, theme_of
from mailengine.web.session import instance_of
from mailengine.web.site import Site

UserRequest = Request[Any, Login, State]


@dataclass(frozen=True, slots=True)
class May:
    """What the reader may do: pages leave out the buttons for the rest, and the use cases refuse it."""

    edit: bool
    send: bool
    manage: bool


async def frame(site: Site, request: UserRequest) -> dict[str, Any]:
    """The variables of layouts/app.html."""
    login = request.auth
    async with site.rt.db.read(login.scope) as tx:
        tenant = await get_tenant(tx, login.scope)
        switches = await kill_switch.of_tenant(tx, login.scope)
    switch = switches.instance or switches.tenant
    return {
        "theme": theme_of(request),
        "organisation": tenant.name,
        "user_email": login.user.email,
        "csrf": login.csrf_token,
        "navigation": navigation(login.scope, catcher=site.caught is not None),
        "may": May(*(grant in login.scope.grants for grant in (Grant.EDIT, Grant.SEND, Grant.MANAGE))),
        "stopped_since": switch.set_at if switch else None,
        "switchable": await _others(site, request),
        "setup_open": tenant.onboarded_at is None and Grant.MANAGE in login.scope.grants,
        "toasts": flash.said(site, request),
    }


async def _others(site: Site, request: UserRequest) -> list[tuple[int, str]]:
    """The other organisations of the reader's, whom most have none of."""
    login, instance = request.auth, instance_of(request.auth.scope)
    if login.organisations < 2 or login.user.id is None:
        return []
    async with site.rt.db.read(instance) as tx:
        mine = await organisations_of(tx, instance, user_id=login.user.id)
    return [(tenant_id, name) for tenant_id, name, _ in mine if tenant_id != login.scope.tenant_id]


async def page(
    site: Site, request: UserRequest, template: str, /, *, status: int = 200, **values: object
) -> Response[str]:
    """A whole page; `values` go before what is around it (`csrf`, of a session that has just got another token)."""
    around = await frame(site, request)
    answer = html(site.render(template, **{**around, **values}), status=status)
    if around["toasts"]:
        flash.forget(answer)
    return answer


async def form_page(
    site: Site, request: UserRequest, template: str, form: Form, /, **values: object
) -> Response[str]:
    """A page with a form: 422 when something is wrong with what was typed. It stays where it is in the history."""
    answer = await page(site, request, template, status=422 if form.failed else 200, form=form, **values)
    if form.failed:
        answer.headers["HX-Push-Url"] = "false"
    return answer


def done(site: Site, path: str, text: str, category: str = "success") -> Response[Any]:
    """An act was done: go on to `path`, where a toast says so."""
    answer: Response[Any] = Response(None, status_code=303, headers={"Location": path})
    return flash.say(site, answer, text, category)
