"""Who is behind a request, and whether they may: checked before any handler of a router runs.

Invariants: every route under a router with one of these guards is behind it, whether its handler asks for the
login or not; a request that a browser could be tricked into (any method but GET and HEAD that comes with the
cookie) must carry the session's CSRF token in the form or the header `x-csrftoken`; a route that changes something
needs the right to edit unless it says otherwise: `opt={NEEDS: Grant.MANAGE}`, or None for what concerns one's own
account only; `opt={FRESH: True}` asks for the password again where it was shown long ago. The use cases check rights
too: this is the second lock, which a new route has by itself.
"""

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.handlers import BaseRouteHandler

from mailengine.core.errors import Forbidden, Unauthorised
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.domain.accounts.auth import note_use, scope_of_key
from mailengine.domain.accounts.sessions import Login, NewLogin, keep_alive, scope_of_session
from mailengine.web.bearer import TENANT_HEADER, scope_of_token
from mailengine.web.redirects import own_path
from mailengine.web.security import request_id
from mailengine.web.site import Site, site_of

COOKIE = "mailengine_session"
# A cookie of this name is taken by browsers only over https, from the host itself and for all of it (RFC 6265bis,
# section 4.1.3.2): a neighbour on a sibling domain cannot plant one.
HOST_PREFIX = "__Host-"
# The row in the database says when a session ends; the cookie only must not end before it.
COOKIE_SECONDS = 365 * 24 * 3600
MAX_TOKEN_CHARS = 200
MAX_JWT_CHARS = 8000
CSRF_FIELD = "_csrf_token"
CSRF_HEADER = "x-csrftoken"
SAFE_METHODS = ("GET", "HEAD")
NEEDS = "needs"
FRESH = "fresh"
_NO_KEY = "the API key is unknown or was revoked"

AnyRequest = Request[Any, Any, State]
AnyConnection = ASGIConnection[Any, Any, Any, State]


class ProofNeeded(Forbidden):
    """The password or a code must be shown again first; `back` is the page to return to."""

    def __init__(self, back: str) -> None:
        super().__init__("confirm that it is you first: log in again, or use an API key")
        self.back = back


def instance_scope(connection: AnyConnection) -> InstanceScope:
    """For checking credentials, before anybody is known."""
    return InstanceScope("web", request_id(connection.scope), client_address(connection))


def instance_of(scope: Scope) -> InstanceScope:
    """The installation as the caller of the API or the reader of a page reaches it."""
    return InstanceScope("web", scope.request_id, scope.address)


def client_address(connection: AnyConnection) -> str:
    """Who is at the other end, by the connection or by a proxy that uvicorn trusts; never by a header of theirs."""
    return connection.client.host if connection.client else ""


def cookie_name(site: Site, name: str = COOKIE) -> str:
    return HOST_PREFIX + name if site.https else name


async def find_login(site: Site, connection: AnyConnection) -> Login | None:
    """The session of the request's cookie; one that is in use is kept alive."""
    token = session_token(site, connection)
    if not token or len(token) > MAX_TOKEN_CHARS:
        return None
    instance, now = instance_scope(connection), site.rt.clock.now()
    async with site.rt.db.read(instance) as tx:
        login = await scope_of_session(tx, instance, token=token, now=now)
    if login is not None and login.renew:
        async with site.rt.db.write(instance) as write_tx:
            await keep_alive(write_tx, instance, token=token, now=now)
    return login


def session_token(site: Site, connection: AnyConnection) -> str:
    return connection.cookies.get(cookie_name(site), "")


async def require_login(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard of the pages: a session, and where something changes its CSRF token and the right to do so."""
    site = site_of(connection)
    login = await find_login(site, connection)
    if login is None:
        raise Unauthorised("log in first")
    request = as_request(connection)
    check_rights(request, handler, login.scope)  # first: what may not be sent is not read
    if request.method not in SAFE_METHODS:
        await check_csrf(request, login.csrf_token, form=True)
    check_proof(site, request, handler, login)
    connection.scope["user"], connection.scope["auth"] = login.user, login


async def require_api_access(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard of the API: a bearer key, else a session, which needs the CSRF header where something changes."""
    site = site_of(connection)
    scope = await _key_scope(site, connection) or await _session_scope(site, connection, handler)
    check_rights(as_request(connection), handler, scope)
    connection.scope["auth"] = scope


def caller_of(request: Request[Any, Scope, State]) -> Scope:
    """Who calls the API, as the guard found it."""
    return request.auth


def check_rights(request: AnyRequest, handler: BaseRouteHandler, scope: Scope) -> None:
    """Raise Forbidden unless the caller may do what the route does."""
    needed = handler.opt.get(NEEDS, Grant.READ if request.method in SAFE_METHODS else Grant.EDIT)
    if needed is not None:
        scope.require(needed)


def check_proof(site: Site, request: AnyRequest, handler: BaseRouteHandler, login: Login) -> None:
    """Raise ProofNeeded where the route is dangerous and the session was left open for a while."""
    if handler.opt.get(FRESH) and not login.proved(site.rt.clock.now()):
        raise ProofNeeded(page_before(request))


def page_before(request: AnyRequest) -> str:
    """The page to return to: this one, or for a form the page that it is on."""
    if request.method in SAFE_METHODS:
        return str(request.scope["path"])
    return own_path(urlsplit(request.headers.get("referer", "")).path)


async def check_csrf(request: AnyRequest, expected: str, *, form: bool) -> None:
    """Raise Forbidden unless the request proves that one of our own pages made it."""
    given = request.headers.get(CSRF_HEADER, "")
    if form and not given:
        given = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), expected.encode()):
        if form:
            await (await request.form()).close()  # files that came with it
        raise Forbidden("the page was too old or another site sent this; load the page again and repeat it")


def session_cookie(site: Site, login: NewLogin) -> Cookie:
    return Cookie(
        key=cookie_name(site),
        value=login.token,
        max_age=COOKIE_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=site.https,
    )


def as_request(connection: AnyConnection) -> AnyRequest:
    """The connection as what it is for every HTTP route: guards are typed for websockets too."""
    assert isinstance(connection, Request)
    return connection


async def _key_scope(site: Site, connection: AnyConnection) -> Scope | None:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    instance, token = instance_scope(connection), token.strip()
    if (
        site.bearer is not None
        and kind.lower() == "bearer"
        and token.count(".") == 2
        and len(token) <= MAX_JWT_CHARS
    ):
        tenant = connection.headers.get(TENANT_HEADER, "")
        return await scope_of_token(site.rt, instance, site.bearer, token=token, tenant=tenant)
    if kind.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN_CHARS:
        return await _scope_of_key(site, instance, token)
    raise Unauthorised(_NO_KEY)


async def _scope_of_key(site: Site, instance: InstanceScope, token: str) -> Scope:
    now = site.rt.clock.now()
    async with site.rt.db.read(instance) as tx:
        found = await scope_of_key(tx, instance, token=token, now=now)
    if found is None:
        raise Unauthorised(_NO_KEY)
    if found.renew:
        async with site.rt.db.write(instance) as write_tx:
            await note_use(write_tx, instance, token=token, now=now)
    return found.scope


async def _session_scope(site: Site, connection: AnyConnection, handler: BaseRouteHandler) -> Scope:
    login = await find_login(site, connection)
    if login is None:
        raise Unauthorised("give an API key in the header `Authorization: Bearer …`")
    request = as_request(connection)
    if request.method not in SAFE_METHODS:
        await check_csrf(request, login.csrf_token, form=False)
    check_proof(site, request, handler, login)
    return login.scope
