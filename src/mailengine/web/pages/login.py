"""Log in and out.

Invariants: the session's token is new with every login, whatever cookie the browser came with; the form is
tied to a cookie of its own (double submit), so that nobody is logged in to an account by another site; wrong
guesses are slowed down per address and client; the answer is the same whatever was wrong.
"""

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.params import FromQuery

from mailengine.core.errors import Unauthorised
from mailengine.domain.accounts.auth import NewLogin, credential_of, log_in, log_out, new_token
from mailengine.domain.accounts.users import verify_password
from mailengine.web.rendering import html, theme_of
from mailengine.web.session import (
    COOKIE,
    CSRF_FIELD,
    MAX_TOKEN_CHARS,
    find_login,
    instance_scope,
    session_cookie,
)
from mailengine.web.site import Site

FORM_COOKIE = "mailengine_login"
HOME = "/campaigns"
MAX_FORM_BYTES = 10_000
MAX_FIELD_CHARS = 1000

AnyRequest = Request[Any, Any, State]


@get("/login")
async def form(request: AnyRequest, site: NamedDependency[Site], next: FromQuery[str] = "") -> Response[Any]:
    """The form; whoever is logged in goes on."""
    if await find_login(site, request) is not None:
        return go_to(own_path(next))
    return show(site, request, next_path=next)


@post("/login", request_max_body_size=MAX_FORM_BYTES)
async def submit(request: AnyRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Check the form, then the password."""
    fields = await request.form()
    email, password, next_path = (
        str(fields.get(name, ""))[:MAX_FIELD_CHARS] for name in ("email", "password", "next")
    )
    if not from_our_form(request, str(fields.get(CSRF_FIELD, ""))):
        problem = "The page was too old. Please try again."
        return show(site, request, email=email, next_path=next_path, error=problem, status=403)
    wait = slow_down(site, request, email)
    if wait:
        problem = f"Too many attempts. Try again in {int(wait) + 1} seconds."
        answer = show(site, request, email=email, next_path=next_path, error=problem, status=429)
        answer.headers["Retry-After"] = str(int(wait) + 1)
        return answer
    try:
        login = await check_password(site, request, email, password)
    except Unauthorised:
        problem = "The e-mail address or the password is wrong."
        return show(site, request, email=email, next_path=next_path, error=problem, status=422)
    site.logins.forget(limit_key(request, email))
    answer = go_to(own_path(next_path))
    answer.set_cookie(session_cookie(login.token, https=site.https))
    answer.delete_cookie(FORM_COOKIE, path="/login")
    return answer


@post("/logout")
async def leave(request: AnyRequest, site: NamedDependency[Site]) -> Response[Any]:
    """End the session here and in the database."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        await log_out(tx, instance, token=request.cookies.get(COOKIE, ""))
    answer = go_to("/login")
    answer.delete_cookie(COOKIE, path="/")
    return answer


async def check_password(site: Site, request: AnyRequest, email: str, password: str) -> NewLogin:
    """A new session; raises Unauthorised. Hashing runs between two transactions, in neither."""
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        credential = await credential_of(tx, instance, email=email)
    password_ok = await verify_password(credential.password_hash, password)
    if credential.user_id is None or not password_ok:
        raise Unauthorised("the e-mail address or the password is wrong")
    async with site.rt.db.write(instance) as write_tx:
        await log_out(write_tx, instance, token=request.cookies.get(COOKIE, ""))
        return await log_in(
            write_tx, instance, credential=credential, password_ok=True, now=site.rt.clock.now()
        )


def from_our_form(request: AnyRequest, given: str) -> bool:
    """Whether the form's token is the one in the browser's cookie, which no other site can read or set."""
    expected = request.cookies.get(FORM_COOKIE, "")
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def slow_down(site: Site, request: AnyRequest, email: str) -> float:
    """Seconds until this client may try this address again; 0 for now."""
    return site.logins.take(limit_key(request, email), site.rt.clock.now())


def limit_key(request: AnyRequest, email: str) -> tuple[str, str]:
    return email.strip().casefold(), request.client.host if request.client else ""


def show(
    site: Site,
    request: AnyRequest,
    *,
    email: str = "",
    next_path: str = "",
    error: str = "",
    status: int = 200,
) -> Response[str]:
    """The form, with its token in a cookie of its own; an open form in another tab stays usable."""
    token = request.cookies.get(FORM_COOKIE, "")
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        token = new_token()
    body = site.render(
        "pages/login.html",
        theme=theme_of(request),
        csrf=token,
        email=email,
        error=error,
        next=own_path(next_path, ""),
    )
    answer = html(body, status=status)
    answer.set_cookie(
        Cookie(
            key=FORM_COOKIE, value=token, path="/login", httponly=True, samesite="strict", secure=site.https
        )
    )
    return answer


def own_path(path: str, otherwise: str = HOME) -> str:
    """The path if it leads to a page of ours, so that a link to the login is no open redirect."""
    if not path.startswith("/") or not (path.isascii() and path.isprintable()) or "\\" in path:
        return otherwise
    parts = urlsplit(path)
    return otherwise if parts.scheme or parts.netloc or path.startswith("//") else path


def go_to(path: str) -> Response[Any]:
    """303: whatever the method was, the next is a GET."""
    return Response(None, status_code=303, headers={"Location": path})
