"""Setting up the second factor, its recovery codes, and switching it off."""

from typing import Any

import segno
from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from markupsafe import Markup

from mailengine.domain.accounts import recovery, second_factor, sessions, totp
from mailengine.models import User
from mailengine.web import letters
from mailengine.web.forms import Form
from mailengine.web.pages.account import OWN_AND_FRESH, with_session
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.session import FRESH, instance_scope
from mailengine.web.site import Site

ISSUER = "mailengine"


@get("/account/second-factor", opt={FRESH: True})
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The QR code and the question for the first code."""
    if request.auth.user.totp_since is not None:
        return done(site, "/account", "The second factor is on already", "info")
    return await setup_page(site, request, Form())


@post("/account/second-factor", opt=OWN_AND_FRESH)
async def enable(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Switch it on by a right code; other sessions, begun without it, end. Shows the recovery codes, this once."""
    form, instance, login = await Form.of(request), instance_scope(request), request.auth
    user_id, now = login.user.id or 0, site.rt.clock.now()
    codes: list[str] = []
    with form.checking("code"):
        async with site.rt.db.write(instance) as tx:
            codes = await second_factor.enable(
                tx, login.scope, keyring=site.rt.keyring, user_id=user_id, code=form.text("code"), now=now
            )
            await sessions.end_all(tx, user_id=user_id, keep=login.session_id)
            fresh = await sessions.prove(tx, instance, login=login, now=now)
    if form.failed:
        return await setup_page(site, request, form)
    answer = with_session(site, await codes_page(site, request, codes, csrf=fresh.csrf_token), fresh)
    return told(site, request, answer, on=True)


@post("/account/second-factor/codes", opt=OWN_AND_FRESH)
async def renew_codes(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Other recovery codes; the old ones are void."""
    instance, login = instance_scope(request), request.auth
    async with site.rt.db.write(instance) as tx:
        codes = await second_factor.renew_codes(
            tx, login.scope, user_id=login.user.id or 0, now=site.rt.clock.now()
        )
    return await codes_page(site, request, codes, csrf=login.csrf_token)


@post("/account/second-factor/off", opt=OWN_AND_FRESH)
async def disable(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Back to the password alone."""
    instance, user_id = instance_scope(request), request.auth.user.id or 0
    async with site.rt.db.write(instance) as tx:
        scopes = await recovery.scopes_of(tx, instance, user_id=user_id)
        await second_factor.disable(tx, scopes, user_id=user_id, now=site.rt.clock.now())
    return told(site, request, done(site, "/account", "The second factor is off"), on=False)


def told(site: Site, request: UserRequest, answer: Response[Any], *, on: bool) -> Response[Any]:
    """The owner of the account learns of it by mail."""
    to, text = request.auth.user.email, letters.second_factor_changed(on=on)
    answer.background = BackgroundTask(letters.send_or_log, site, instance_scope(request), to=to, text=text)
    return answer


async def setup_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        user = await tx.get(User, request.auth.user.id)
        assert user is not None
        secret = await second_factor.begin(tx, keyring=site.rt.keyring, user=user)
    return await form_page(
        site,
        request,
        "pages/account/second_factor.html",
        form,
        picture=qr_picture(totp.uri(secret, account=request.auth.user.email, issuer=ISSUER)),
        secret=totp.written(secret),
    )


async def codes_page(site: Site, request: UserRequest, codes: list[str], *, csrf: str) -> Response[str]:
    return await page(site, request, "pages/account/codes.html", codes=codes, csrf=csrf)


def qr_picture(text: str) -> Markup:
    """An SVG for the page itself: no request, no script, no style; black on white in both themes, for cameras."""
    drawn = segno.make(text, error="m", micro=False).svg_inline(
        scale=4, border=4, dark="black", light="white", svgclass=None, lineclass=None, omitsize=True
    )
    return Markup(drawn)  # noqa: S704  # segno's own markup; the text is only in the shape of its dots
