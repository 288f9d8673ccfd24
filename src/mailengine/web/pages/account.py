"""One's own account: address, password, where one is logged in, and in which organisation one works.

What gives the session more than it had (a password shown again, another organisation) gives it a new token. Such
forms are not boosted: the page is loaded anew, with the new CSRF token in it.
"""

from typing import Any

from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from mailengine.core.errors import InvalidInput
from mailengine.domain.accounts import attempts, auth, members, recovery, second_factor, sessions
from mailengine.domain.accounts.sessions import NewLogin
from mailengine.domain.accounts.tenants import names_of
from mailengine.domain.accounts.users import check_password, hash_password
from mailengine.mail.address import parse_address
from mailengine.web import flash, letters
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.proof import knows_code, knows_password
from mailengine.web.redirects import HOME, go_to, own_path
from mailengine.web.session import FRESH, NEEDS, instance_scope, session_cookie
from mailengine.web.site import Site
from mailengine.web.visitors import fields

OWN = {NEEDS: None}
OWN_AND_FRESH = {NEEDS: None, FRESH: True}


@get("/account")
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """All of it on one page."""
    return await account_page(site, request, Form())


@post("/account/password", opt=OWN)
async def change_password(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Another password, for whoever shows the present one; all other sessions end."""
    form = await Form.of(request)
    (current, password, again) = await fields(request, "current", "password", "again")
    if not await knows_password(site, request, current):
        form.reject("current", "this is not your present password")
    with form.checking("password"):
        check_password(password, email=request.auth.user.email)
    if password != again:
        form.reject("again", "the two passwords are not the same")
    if form.failed:
        return await account_page(site, request, form)
    password_hash = await hash_password(password)
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        login = await recovery.change_password(
            tx, instance, login=request.auth, password_hash=password_hash, now=site.rt.clock.now()
        )
    answer = with_session(site, done(site, "/account", "The password was changed"), login)
    to, text = request.auth.user.email, letters.password_changed()
    answer.background = BackgroundTask(letters.send_or_log, site, instance, to=to, text=text)
    return answer


@post("/account/email", opt=OWN_AND_FRESH)
async def change_email(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A letter to the new address; it counts when its link was used. Says the same for a taken address."""
    form, instance = await Form.of(request), instance_scope(request)
    with form.checking("email"):
        parse_address(form.text("email"))
    if form.failed:
        return await account_page(site, request, form)
    email, now = form.text("email"), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        wait = await attempts.take(tx, instance, attempts.MAIL, account=email, now=now)
        letter = None
        if not wait:
            letter = await recovery.ask_change_email(tx, instance, login=request.auth, email=email, now=now)
    if letter is not None:
        await letters.send(site, instance, to=letter.email, text=letters.change_email(letter.token))
    return done(site, "/account", "Look into the new mailbox: a link there makes it your address")


@get("/account/email/{token:str}")
async def email_form(
    request: UserRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[str]:
    """A button: scanners open links, so that opening one confirms nothing."""
    return await page(site, request, "pages/account/email.html", token=token)


@post("/account/email/{token:str}", opt=OWN)
async def confirm_email(
    request: UserRequest, site: NamedDependency[Site], token: FromPath[str]
) -> Response[Any]:
    """The new address counts; the old one is told."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        before, after = await recovery.change_email(
            tx, instance, login=request.auth, token=token, now=site.rt.clock.now()
        )
    answer = done(site, "/account", f"Your address is {after} now")
    answer.background = BackgroundTask(
        letters.send_or_log, site, instance, to=before, text=letters.email_changed()
    )
    return answer


@get("/account/confirm")
async def confirm_form(
    request: UserRequest, site: NamedDependency[Site], next: FromQuery[str] = ""
) -> Response[str]:
    """The question for the password, before something dangerous."""
    return await _ask_again(site, request, Form(), next)


@post("/account/confirm", opt=OWN)
async def confirm(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The session is good for dangerous acts for ten minutes, under a new token."""
    form = await Form.of(request)
    password, next_path = await fields(request, "password", "next")
    has_code = request.auth.user.totp_since is not None and password.replace(" ", "").isdigit()
    right = await (knows_code if has_code else knows_password)(site, request, password)
    if not right:
        form.reject("password", "this is not right")
        return await _ask_again(site, request, form, next_path)
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        login = await sessions.confirm(tx, instance, login=request.auth, now=site.rt.clock.now())
    return with_session(site, go_to(own_path(next_path)), login)


async def _ask_again(site: Site, request: UserRequest, form: Form, next_path: str) -> Response[str]:
    """Whoever never had a password here proves it where they log in."""
    provider = site.rt.settings.oidc.name if site.provider else ""
    template, back = "pages/account/confirm.html", own_path(next_path)
    return await form_page(site, request, template, form, next=back, provider=provider)


@post("/account/sessions/{session_id:str}/end", opt=OWN)
async def end_session(
    request: UserRequest, site: NamedDependency[Site], session_id: FromPath[str]
) -> Response[Any]:
    """Log out somewhere else."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        await sessions.end(tx, instance, login=request.auth, session_id=session_id, now=site.rt.clock.now())
    return done(site, "/account", "The session was ended")


@post("/account/sessions/end-others", opt=OWN)
async def end_others(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Log out everywhere but here."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        await sessions.end_others(tx, instance, login=request.auth, now=site.rt.clock.now())
    return done(site, "/account", "All other sessions were ended")


@post("/account/switch", opt=OWN)
async def switch(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Go on in another organisation."""
    form, instance = await Form.of(request), instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        login = await sessions.switch(
            tx,
            instance,
            login=request.auth,
            tenant_id=form.number("organisation"),
            now=site.rt.clock.now(),
        )
        name = (await names_of(tx, instance, ids=[login.scope.tenant_id]))[login.scope.tenant_id]
    return with_session(site, done(site, HOME, f"You work in {name} now"), login)


@post("/account/leave", opt=OWN_AND_FRESH)
async def leave(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Give up one's place in the organisation that one is in; the session there ends with it."""
    login = request.auth
    assert login.user.id is not None
    async with site.rt.db.write(login.scope) as tx:
        await members.leave(tx, login.scope, user_id=login.user.id, now=site.rt.clock.now())
    return flash.say(site, go_to("/login"), "You left the organisation")


def with_session(site: Site, answer: Response[Any], login: NewLogin) -> Response[Any]:
    answer.set_cookie(session_cookie(site, login))
    return answer


async def account_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    """Never with a password in it: those fields are left empty."""
    instance, user, now = instance_scope(request), request.auth.user, site.rt.clock.now()
    if user.id is None:
        raise InvalidInput("the account is not there any more")
    async with site.rt.db.read(instance) as tx:
        rows = await sessions.sessions_of(tx, instance, user_id=user.id, now=now)
        organisations = await auth.organisations_of(tx, instance, user_id=user.id)
        codes = await second_factor.codes_left(tx, user_id=user.id)
    return await form_page(
        site,
        request,
        "pages/account/account.html",
        form,
        sessions=rows,
        here=request.auth.session_id,
        every_organisation=organisations,
        current=request.auth.scope.tenant_id,
        totp_since=user.totp_since,
        codes_left=codes,
    )
