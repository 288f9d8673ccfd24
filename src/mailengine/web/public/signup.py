"""Sign-up forms, their confirmation, and the preference centre: without a login, a script or a cookie.

Invariants: GET changes nothing, because link scanners open links. The answer to a form is the same page whoever
the address belongs to. There are no cookies, so there is nothing that another site could ride on; the form is
meant to be posted from other sites.
"""

from math import ceil

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput, Refused
from mailengine.core.ids import TenantId
from mailengine.core.log import get_logger
from mailengine.core.ratelimit import RateLimit
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.accounts.attempts import client_name
from mailengine.domain.contacts.contacts import check_contact
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.signup import forms, preferences, signups
from mailengine.domain.signup.embed import HONEYPOT
from mailengine.domain.tracking.events import message_of
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import SignupForm
from mailengine.web.forms import Form
from mailengine.web.public.links import AnyRequest, origin_of, public_page, recipient_of, scope_of
from mailengine.web.security import request_id
from mailengine.web.site import Site

MAX_FORM_BYTES = 20_000
LINK_PURPOSE = "sign-up links"
TOO_MANY, CLOSED = 429, 503

log = get_logger("web")


def signup_limit() -> RateLimit:
    """For one client: twenty at once, then one a minute. Stops a program that signs up a list of addresses; a
    shop's till that signs up its customers may do twenty in a row."""
    return RateLimit(burst=20, seconds_per_act=60)


def around(site: Site) -> signups.Around:
    keyring = site.rt.keyring
    return signups.Around(
        keyring.derive_for_ever(HASH_PURPOSE), keyring.derive(LINK_PURPOSE), site.rt.settings.base_url
    )


@get("/f/{uid:str}")
async def form(request: AnyRequest, site: NamedDependency[Site], uid: FromPath[str]) -> Response[str]:
    """The empty form."""
    scope = await _owner(site, request, uid)
    async with site.rt.db.read(scope) as tx:
        found = await forms.public_form(tx, scope, uid=uid)
    return await _form_page(site, request, scope, found, Form())


@post("/f/{uid:str}", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def submit(request: AnyRequest, site: NamedDependency[Site], uid: FromPath[str]) -> Response[str]:
    """Sign up. A form that a program filled in, and one address too often, get the answer of everybody else."""
    scope = await _owner(site, request, uid)
    given, ip, now = await Form.of(request), origin_of(request).ip, site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        found = await forms.public_form(tx, scope, uid=uid)
    try:
        new = check_contact(
            given.text("email"), first_name=given.text("first_name"), last_name=given.text("last_name")
        )
    except InvalidInput as error:
        given.reject("email", str(error))
        return await _form_page(site, request, scope, found, given, status=422)
    if wait_seconds := site.signups.take((scope.tenant_id, client_name(ip)), now):
        given.reject("email", "too many sign-ups came from your network; try again in a few minutes")
        page = await _form_page(site, request, scope, found, given, status=TOO_MANY)
        page.headers["Retry-After"] = str(ceil(wait_seconds))
        return page
    try:
        if not given.text(HONEYPOT):
            async with site.rt.db.write(scope) as tx:
                await signups.sign_up(tx, scope, found, new, around(site), ip=ip, now=now)
    except Refused as error:  # no sender, no quota left: the organisation's to mend, and no visitor's to read
        log.error("sign-up refused", tenant=scope.tenant_id, form=found.id, reason=str(error))
        given.reject("email", "signing up does not work at the moment; try again later")
        return await _form_page(site, request, scope, found, given, status=CLOSED)
    return await public_page(site, request, scope, "public/signed_up.html", email=new.address.email)


@get("/f/confirm/{token:str}")
async def ask_confirmation(
    request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[str]:
    """The page with the button."""
    scope, signup_id = _of_link(site, request, token)
    async with site.rt.db.read(scope) as tx:
        found = await signups.waiting(tx, scope, signup_id=signup_id, now=site.rt.clock.now())
    return await _confirm_page(site, request, scope, found)


@post("/f/confirm/{token:str}", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def confirm(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """The person says yes."""
    scope, signup_id = _of_link(site, request, token)
    ip, now = origin_of(request).ip, site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        found = await signups.confirm(tx, scope, signup_id=signup_id, ip=ip, now=now)
    return await _confirm_page(site, request, scope, found)


@get("/p/{token:str}")
async def show_preferences(
    request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[str]:
    """The lists, with those ticked that the person is on."""
    recipient = recipient_of(site, token, Purpose.MANAGE)
    scope = scope_of(recipient, request)
    async with site.rt.db.read(scope) as tx:
        message = await message_of(tx, scope, task_id=recipient.task_id)
        shown = await preferences.preferences_of(tx, scope, contact_id=message.contact_id)
    return await _preferences_page(site, request, scope, message.email, shown, token)


@post("/p/{token:str}", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def choose_preferences(
    request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[str]:
    """What is ticked is on, all else is off; the second button takes the person off everything."""
    recipient = recipient_of(site, token, Purpose.MANAGE)
    scope, given = scope_of(recipient, request), await Form.of(request)
    ticked = [] if given.text("all") == "off" else given.texts("lists")
    wanted = {int(each) for each in ticked if each.isascii() and each.isdigit() and len(each) < 16}
    async with site.rt.db.write(scope) as tx:
        message = await message_of(tx, scope, task_id=recipient.task_id)
        shown = await preferences.choose(
            tx,
            scope,
            contact_id=message.contact_id,
            wanted=wanted,
            ip=origin_of(request).ip,
            now=site.rt.clock.now(),
        )
    return await _preferences_page(site, request, scope, message.email, shown, token, saved=True)


async def _owner(site: Site, request: AnyRequest, uid: str) -> Scope:
    instance = InstanceScope("form", request_id(request.scope))
    async with site.rt.db.read(instance) as tx:
        tenant_id = await forms.owner_of(tx, instance, uid=uid)
    return _as_visitor(tenant_id, request)


def _of_link(site: Site, request: AnyRequest, token: str) -> tuple[Scope, int]:
    tenant_id, signup_id = signups.read_token(token, around(site).link_key)
    return _as_visitor(TenantId(tenant_id), request), signup_id


def _as_visitor(tenant_id: TenantId, request: Request[object, object, State]) -> Scope:
    """Somebody without any right in the tenant."""
    return Scope(tenant_id, "form", frozenset(), request_id(request.scope))


async def _form_page(
    site: Site, request: AnyRequest, scope: Scope, found: SignupForm, given: Form, *, status: int = 200
) -> Response[str]:
    return await public_page(
        site, request, scope, "public/signup.html",
        status=status, signup=found, form=given, honeypot=HONEYPOT,
    )  # fmt: skip


async def _confirm_page(
    site: Site, request: AnyRequest, scope: Scope, found: signups.Waiting
) -> Response[str]:
    return await public_page(
        site,
        request,
        scope,
        "public/confirm.html",
        email=found.contact.email,
        lists=[each.name for each in found.lists],
        wording=found.signup.wording,
        confirmed=found.confirmed,
    )


async def _preferences_page(
    site: Site,
    request: AnyRequest,
    scope: Scope,
    email: str,
    shown: list[preferences.Preference],
    token: str,
    *,
    saved: bool = False,
) -> Response[str]:
    return await public_page(
        site,
        request,
        scope,
        "public/preferences.html",
        email=email,
        preferences=shown,
        saved=saved,
        unsubscribe_url=f"/u/{token}",
    )
