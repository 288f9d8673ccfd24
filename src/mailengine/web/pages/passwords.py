"""A forgotten password, from the question to the new one.

Invariants: the answer, and the time it takes, are the same whether the address has an account: looking it up and
sending mail come after the answer. A link is looked at by scanners: only the form of its page uses it up.
"""

from typing import Any

from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts import attempts, recovery
from mailengine.domain.accounts.users import check_password, hash_password
from mailengine.web import flash, letters
from mailengine.web.forms import Form
from mailengine.web.redirects import go_to
from mailengine.web.session import instance_scope
from mailengine.web.site import Site
from mailengine.web.visitors import (
    MAX_FORM_BYTES,
    TOO_OLD,
    AnyRequest,
    fields,
    from_our_form,
    later,
    require_our_form,
    too_many,
    visitor_page,
)


@get("/forgot")
async def forgot_form(request: AnyRequest, site: NamedDependency[Site]) -> Response[str]:
    """The question for the address."""
    return show_forgot(site, request)


@post("/forgot", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def forgot(request: AnyRequest, site: NamedDependency[Site]) -> Response[str]:
    """Say that mail is on its way, and then see whether anybody is there."""
    (email,) = await fields(request, "email")
    if not await from_our_form(site, request):
        return show_forgot(site, request, email=email, error=TOO_OLD, status=403)
    wait = await count_letter(site, request, email)
    if wait:
        return later(show_forgot(site, request, email=email, error=too_many(wait), status=429), wait)
    answer = visitor_page(site, request, "pages/account/sent.html", email=email)
    answer.background = BackgroundTask(send_reset, site, instance_scope(request), email)
    return answer


@get("/reset/{token:str}")
async def reset_form(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """The form for the new password, while the link is good."""
    return show_reset(site, request, await address_of(site, request, token), Form())


@post("/reset/{token:str}", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def reset(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """The new password; whoever logged in with the old one is logged out."""
    await require_our_form(site, request)
    password, again = await fields(request, "password", "again")
    email = await address_of(site, request, token)
    form = check_pair(password, again, email=email)
    if form.failed:
        return show_reset(site, request, email, form)
    password_hash = await hash_password(password)
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        await recovery.reset(tx, instance, token=token, password_hash=password_hash, now=now)
        await attempts.unlock(tx, instance, account=email)
    answer = flash.say(site, go_to("/login"), "The password was changed. Log in with the new one")
    answer.background = BackgroundTask(
        letters.send_or_log, site, instance, to=email, text=letters.password_changed()
    )
    return answer


async def send_reset(site: Site, instance: InstanceScope, email: str) -> None:
    """After the answer: a link for whoever has the address, nothing for nobody."""
    async with site.rt.db.write(instance) as tx:
        letter = await recovery.ask_reset(tx, instance, email=email, now=site.rt.clock.now())
    if letter is not None:
        await letters.send_or_log(site, instance, to=letter.email, text=letters.reset(letter.token))


async def count_letter(site: Site, request: AnyRequest, email: str) -> float:
    """Seconds until this client may have mail sent to this address again; 0 for now."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        return await attempts.take(tx, instance, attempts.MAIL, account=email, now=site.rt.clock.now())


async def address_of(site: Site, request: AnyRequest, token: str) -> str:
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        return await recovery.address_of_reset(tx, instance, token=token, now=site.rt.clock.now())


def check_pair(password: str, again: str, *, email: str) -> Form:
    """What is wrong with a password that is not good enough, or was typed differently the second time. What was typed
    is not in it: a password goes into no page."""
    form = Form()
    with form.checking("password"):
        check_password(password, email=email)
    if password != again:
        form.reject("again", "the two passwords are not the same")
    return form


def show_forgot(
    site: Site, request: AnyRequest, *, email: str = "", error: str = "", status: int = 200
) -> Response[str]:
    return visitor_page(site, request, "pages/account/forgot.html", status=status, email=email, error=error)


def show_reset(site: Site, request: AnyRequest, email: str, form: Form) -> Response[str]:
    status = 422 if form.failed else 200
    return visitor_page(site, request, "pages/account/reset.html", status=status, email=email, form=form)
