"""Who is behind a request: login cookie or API key, checked before any handler of a router runs.

Invariants: every route under a router with one of these guards is behind it, whether its handler asks for the
login or not; a request that a browser could be tricked into (any method but GET and HEAD that comes with the
cookie) must carry the session's CSRF token in the form or the header `x-csrftoken`.
"""

import hmac
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.handlers import BaseRouteHandler

from mailengine.core.errors import Forbidden, Unauthorised
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.accounts.auth import Login, keep_alive, scope_of_key, scope_of_session
from mailengine.web.security import request_id
from mailengine.web.site import Site

COOKIE = "mailengine_session"
# The row in the database says when a session ends; the cookie only must not end before it.
COOKIE_SECONDS = 365 * 24 * 3600
MAX_TOKEN_CHARS = 200
CSRF_FIELD = "_csrf_token"
CSRF_HEADER = "x-csrftoken"
SAFE_METHODS = ("GET", "HEAD")

AnyRequest = Request[Any, Any, State]
AnyConnection = ASGIConnection[Any, Any, Any, State]


def instance_scope(connection: AnyConnection) -> InstanceScope:
    """For checking credentials, before anybody is known."""
    return InstanceScope("web", request_id(connection.scope))


async def find_login(site: Site, connection: AnyConnection) -> Login | None:
    """The session of the request's cookie; one that is in use is kept alive."""
    token = connection.cookies.get(COOKIE, "")
    if not token or len(token) > MAX_TOKEN_CHARS:
        return None
    instance, now = instance_scope(connection), site.rt.clock.now()
    async with site.rt.db.read(instance) as tx:
        login = await scope_of_session(tx, instance, token=token, now=now)
    if login is not None and login.renew:
        async with site.rt.db.write(instance) as write_tx:
            await keep_alive(write_tx, instance, token=token, now=now)
    return login


async def require_login(connection: AnyConnection, _handler: BaseRouteHandler) -> None:
    """Guard of the pages: a session, and its CSRF token where something changes."""
    site: Site = connection.app.state.site
    login = await find_login(site, connection)
    if login is None:
        raise Unauthorised("log in first")
    request = as_request(connection)
    if request.method not in SAFE_METHODS:
        await check_csrf(request, login.csrf_token, form=True)
    connection.scope["user"], connection.scope["auth"] = login.user, login


async def require_api_access(connection: AnyConnection, _handler: BaseRouteHandler) -> None:
    """Guard of the API: a bearer key, else a session, which needs the CSRF header where something changes."""
    site: Site = connection.app.state.site
    connection.scope["auth"] = await _key_scope(site, connection) or await _session_scope(site, connection)


def caller_of(request: Request[Any, Scope, State]) -> Scope:
    """Who calls the API, as the guard found it."""
    return request.auth


async def check_csrf(request: AnyRequest, expected: str, *, form: bool) -> None:
    """Raise Forbidden unless the request proves that one of our own pages made it."""
    given = request.headers.get(CSRF_HEADER, "")
    if form and not given:
        given = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden("the page was too old or another site sent this; load the page again and repeat it")


def session_cookie(token: str, *, https: bool) -> Cookie:
    return Cookie(
        key=COOKIE, value=token, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="lax", secure=https
    )


def as_request(connection: AnyConnection) -> AnyRequest:
    """The connection as what it is for every HTTP route: guards are typed for websockets too."""
    assert isinstance(connection, Request)
    return connection


async def _key_scope(site: Site, connection: AnyConnection) -> Scope | None:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    instance = instance_scope(connection)
    if kind.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN_CHARS:
        async with site.rt.db.read(instance) as tx:
            scope = await scope_of_key(tx, instance, token=token.strip(), now=site.rt.clock.now())
        if scope is not None:
            return scope
    raise Unauthorised("the API key is unknown or was revoked")


async def _session_scope(site: Site, connection: AnyConnection) -> Scope:
    login = await find_login(site, connection)
    if login is None:
        raise Unauthorised("give an API key in the header `Authorization: Bearer …`")
    request = as_request(connection)
    if request.method not in SAFE_METHODS:
        await check_csrf(request, login.csrf_token, form=False)
    return login.scope
