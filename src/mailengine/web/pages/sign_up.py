"""Signing up by oneself, where the installation is open to it; and confirming the address.

Invariant: the answer is the same for an address that has an account; its owner learns of it by mail.
"""

from typing import Any

from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts import auth, sign_up
from mailengine.domain.accounts.countries import COUNTRIES
from mailengine.domain.accounts.tenants import TenantDetails, check_tenant
from mailengine.domain.accounts.users import check_password, hash_password
from mailengine.mail.address import parse_address
from mailengine.web import letters
from mailengine.web.forms import Form
from mailengine.web.pages.login import admitted
from mailengine.web.pages.passwords import count_letter
from mailengine.web.session import instance_scope
from mailengine.web.site import Site
from mailengine.web.visitors import (
    MAX_FORM_BYTES,
    TOO_OLD,
    AnyRequest,
    agent_of,
    fields,
    from_our_form,
    later,
    require_our_form,
    too_many,
    visitor_page,
)


@get("/sign-up")
async def form(request: AnyRequest, site: NamedDependency[Site]) -> Response[str]:
    """The form, or who to ask instead."""
    return show(site, request, Form())


@post("/sign-up", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def submit(request: AnyRequest, site: NamedDependency[Site]) -> Response[str]:
    """Let a letter confirm the address; until then nothing exists."""
    await require_our_form(site, request)
    if site.rt.settings.accounts.sign_up != "open":
        raise NotFound("this installation is not open for signing up")
    form = await Form.of(request)
    details = check_form(form)
    if details is None:
        return show(site, request, form, status=422)
    email, (password,) = parse_address(form.text("email")).email, await fields(request, "password")
    wait = await count_letter(site, request, email)
    if wait:
        return later(show(site, request, form, error=too_many(wait), status=429), wait)
    password_hash = await hash_password(password)
    answer = visitor_page(site, request, "pages/account/sent.html", email=email)
    answer.background = BackgroundTask(ask, site, instance_scope(request), email, password_hash, details)
    return answer


@get("/sign-up/{token:str}")
async def confirm_form(
    request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[str]:
    """A button: scanners open links, so that opening one confirms nothing."""
    return visitor_page(site, request, "pages/account/confirm_sign_up.html", error="")


@post("/sign-up/{token:str}", request_max_body_size=MAX_FORM_BYTES)
async def confirm(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """The organisation, its owner, and their first session."""
    if not await from_our_form(site, request):
        return visitor_page(site, request, "pages/account/confirm_sign_up.html", error=TOO_OLD, status=403)
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        member = await sign_up.confirm(tx, instance, token=token, now=now)
        login = await auth.admit(tx, instance, member=member, now=now, agent=agent_of(request))
    return await admitted(site, request, login, "/setup/relay")


async def ask(
    site: Site, instance: InstanceScope, email: str, password_hash: str, details: TenantDetails
) -> None:
    """After the answer: the link, or the news that there is an account."""
    async with site.rt.db.write(instance) as tx:
        letter = await sign_up.ask(
            tx,
            instance,
            email=email,
            password_hash=password_hash,
            details=details,
            now=site.rt.clock.now(),
        )
    text = letters.known_already() if letter is None else letters.sign_up(letter.token, details.name)
    await letters.send_or_log(site, instance, to=email, text=text)


def check_form(form: Form) -> TenantDetails | None:
    """What was typed, when all of it is right; else what is wrong stands in the form."""
    with form.checking("email"):
        parse_address(form.text("email"))
    with form.checking("password"):
        check_password(form.value("password"), email=form.text("email"))
    return check_organisation(form)


def check_organisation(form: Form) -> TenantDetails | None:
    """Name, country and postal address, each with what is wrong with it at its field."""
    given = {
        "name": form.text("organisation"),
        "country": form.text("country"),
        "postal_address": form.text("postal_address"),
    }
    fine = {"name": "x", "country": "DE", "postal_address": "x"}
    for field, name in (
        ("organisation", "name"),
        ("country", "country"),
        ("postal_address", "postal_address"),
    ):
        with form.checking(field):
            check_tenant(**{**fine, name: given[name]})
    if form.failed:
        return None
    try:
        return check_tenant(**given)
    except InvalidInput as error:
        form.reject("organisation", str(error))
        return None


def show(site: Site, request: AnyRequest, form: Form, *, error: str = "", status: int = 200) -> Response[str]:
    mode = site.rt.settings.accounts.sign_up
    return visitor_page(
        site,
        request,
        "pages/account/sign_up.html",
        status=status,
        form=form,
        error=error,
        mode=mode,
        countries=sorted(COUNTRIES.items(), key=lambda pair: pair[1]),
    )
