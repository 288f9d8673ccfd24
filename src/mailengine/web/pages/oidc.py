"""Log in by the identity provider of the settings: there, and back with a code.

Invariants: what the browser comes back with is worth something only to the browser that left (a cookie of its own),
once, and for ten minutes; a second factor of ours is asked for all the same.
"""

import hmac
from typing import Any

from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery

from mailengine.core.errors import NotFound, Unauthorised, Unavailable
from mailengine.core.log import get_logger
from mailengine.domain.accounts import attempts, auth, identities, sessions, tokens
from mailengine.domain.accounts.auth import CodeNeeded
from mailengine.domain.accounts.openid.provider import Claims, Provider
from mailengine.domain.accounts.sessions import NewLogin
from mailengine.models import TokenKind
from mailengine.web.forms import sentence
from mailengine.web.pages.login import admitted, show
from mailengine.web.redirects import own_path
from mailengine.web.session import MAX_TOKEN_CHARS, cookie_name, instance_scope, session_token
from mailengine.web.site import Site
from mailengine.web.visitors import AnyRequest, agent_of, later, too_many

OIDC_COOKIE = "mailengine_oidc"
CALLBACK = "/oidc/callback"
UNREACHABLE = "The identity provider does not answer as it should. Try again, or log in with your password."
TOO_LONG = "the login took too long or was begun in another browser; start again"
MAX_ANSWER_CHARS = 4000

log = get_logger("web")


@get("/oidc/login")
async def begin(request: AnyRequest, site: NamedDependency[Site], next: FromQuery[str] = "") -> Response[Any]:
    """Send the browser to the provider."""
    provider, instance, now = provider_of(site), instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        wait = await attempts.take(tx, instance, attempts.SIGN_ON, account="", now=now)
    if wait:
        return later(show(site, request, error=too_many(wait), status=429), wait)
    try:
        begun = await provider.begin(now=now)
    except Unavailable as error:
        return unreachable(site, request, error)
    kept = {"state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier, "next": own_path(next)}
    async with site.rt.db.write(instance) as tx:
        token = await tokens.issue(tx, TokenKind.OIDC, now=now, data=kept)
    answer: Response[Any] = Response(None, status_code=303, headers={"Location": begun.url})
    answer.set_cookie(waiting_cookie(site, token))
    return answer


@get(CALLBACK)
async def callback(
    request: AnyRequest,
    site: NamedDependency[Site],
    code: FromQuery[str] = "",
) -> Response[Any]:
    """The browser is back."""
    provider = provider_of(site)
    query = request.query_params
    try:
        kept = await used_up(site, request, str(query.get("state", "")))
        if str(query.get("iss", provider.issuer)) != provider.issuer:  # RFC 9207: a mix-up of providers
            raise Unauthorised("the answer is another provider's; start again")
        if not 0 < len(code) <= MAX_ANSWER_CHARS:
            raise Unauthorised("the identity provider did not let you in")
        claims = await provider.finish(
            code=code, nonce=kept["nonce"], verifier=kept["verifier"], now=site.rt.clock.now()
        )
        login = await session_of(site, request, claims)
    except Unavailable as error:
        return unreachable(site, request, error)
    except Unauthorised as error:
        return show(site, request, error=sentence(str(error)), status=403)
    answer = await admitted(site, request, login, kept["next"])
    answer.delete_cookie(cookie_name(site, OIDC_COOKIE), path="/")
    return answer


async def used_up(site: Site, request: AnyRequest, state: str) -> dict[str, str]:
    """What this browser left with, this once; raises Unauthorised."""
    token = request.cookies.get(cookie_name(site, OIDC_COOKIE), "")
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise Unauthorised(TOO_LONG)
    async with site.rt.db.write(instance_scope(request)) as tx:
        found = await tokens.redeem(tx, TokenKind.OIDC, token=token, now=site.rt.clock.now())
    if found is None or not hmac.compare_digest(found.data["state"].encode(), state.encode(errors="replace")):
        raise Unauthorised(TOO_LONG)
    return found.data


async def session_of(site: Site, request: AnyRequest, claims: Claims) -> NewLogin | CodeNeeded:
    """A session for the user that the provider vouches for; raises Unauthorised for a stranger."""
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        user = await identities.find_or_tie(tx, instance, claims=claims, now=now)
        member = await identities.membership(tx, instance, user_id=user.id or 0)
        if member is None:
            raise Unauthorised("your account is in no organisation; ask for an invitation")
        await sessions.log_out(tx, instance, token=session_token(site, request), now=now)
        return await auth.admit(tx, instance, member=member, now=now, agent=agent_of(request))


def provider_of(site: Site) -> Provider:
    if site.provider is None:
        raise NotFound("this installation has no single sign-on")
    return site.provider


def unreachable(site: Site, request: AnyRequest, error: Unavailable) -> Response[Any]:
    """The log has the reason; a visitor could do nothing with it."""
    log.error("single sign-on failed", problem=str(error))
    return show(site, request, error=UNREACHABLE, status=503)


def waiting_cookie(site: Site, token: str) -> Cookie:
    return Cookie(
        key=cookie_name(site, OIDC_COOKIE),
        value=token,
        max_age=600,
        path="/",
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
        secure=site.https,
    )
