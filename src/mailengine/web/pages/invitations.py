"""The page behind an invitation: join with the account one has, or make one."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import Forbidden
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts import auth, invitations, sessions
from mailengine.domain.accounts.invitations import Offer
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.accounts.users import hash_password
from mailengine.mail.address import parse_address
from mailengine.web import flash
from mailengine.web.forms import Form
from mailengine.web.pages.login import admitted
from mailengine.web.pages.passwords import check_pair
from mailengine.web.redirects import HOME, go_to
from mailengine.web.session import find_login, instance_scope, session_cookie
from mailengine.web.site import Site
from mailengine.web.visitors import (
    MAX_FORM_BYTES,
    AnyRequest,
    agent_of,
    fields,
    require_our_form,
    visitor_page,
)


@get("/invitations/{token:str}")
async def see(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """What is offered, and how to take it."""
    offer, login = await read(site, request, token)
    return show(site, request, token, offer, login, Form())


@post("/invitations/{token:str}", request_max_body_size=MAX_FORM_BYTES)
async def accept(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """Join: by the session of the invited address, or with a password for a new account."""
    await require_our_form(site, request)
    offer, login = await read(site, request, token)
    if offer.user_id is not None:
        return await join(site, request, token, offer, login)
    if site.rt.settings.accounts.sign_up == "closed":
        raise Forbidden("this installation makes no new accounts; ask whoever runs it for one")
    password, again = await fields(request, "password", "again")
    form = check_pair(password, again, email=offer.email)
    if form.failed:
        return show(site, request, token, offer, login, form)
    return await join_as_new(site, request, token, await hash_password(password))


async def read(site: Site, request: AnyRequest, token: str) -> tuple[Offer, Login | None]:
    instance = instance_scope(request)
    login = await find_login(site, request)
    async with site.rt.db.read(instance) as tx:
        return await invitations.offer_of(tx, instance, token=token, now=site.rt.clock.now()), login


async def join(
    site: Site, request: AnyRequest, token: str, offer: Offer, login: Login | None
) -> Response[Any]:
    """Whoever is logged in with the invited address goes on in the new organisation."""
    if login is None or not is_for(offer, login):
        return go_to("/login?" + urlencode({"next": f"/invitations/{token}"}))
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        member = await invitations.accept(tx, instance, token=token, user=login.user, now=now)
        moved = await sessions.switch(tx, instance, login=login, tenant_id=member.tenant_id, now=now)
    answer = flash.say(site, go_to(HOME), f"You are a member of {offer.organisation} now")
    answer.set_cookie(session_cookie(site, moved))
    return answer


async def join_as_new(site: Site, request: AnyRequest, token: str, password_hash: str) -> Response[Any]:
    instance: InstanceScope = instance_scope(request)
    now = site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        member = await invitations.accept_as_new(
            tx, instance, token=token, password_hash=password_hash, now=now
        )
        login = await auth.admit(tx, instance, member=member, now=now, agent=agent_of(request))
    return await admitted(site, request, login, HOME)


def is_for(offer: Offer, login: Login) -> bool:
    return parse_address(offer.email).key == login.user.email_key


def show(
    site: Site,
    request: AnyRequest,
    token: str,
    offer: Offer,
    login: Login | None,
    form: Form,
) -> Response[str]:
    return visitor_page(
        site,
        request,
        "pages/account/invitation.html",
        status=422 if form.failed else 200,
        offer=offer,
        form=form,
        fits=login is not None and is_for(offer, login),
        login_url="/login?" + urlencode({"next": f"/invitations/{token}"}),
        closed=site.rt.settings.accounts.sign_up == "closed",
    )
