"""Forms for people who are not logged in: login, forgotten password, sign-up, invitations, first steps.

Each is tied to a cookie of its own (double submit), so that no other site fills one in: nobody is logged in to an
account, or given a password, by somebody else.
"""

import hmac
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie, State

from mailengine.core.errors import Forbidden, TooSoon
from mailengine.domain.accounts.tokens import new_token
from mailengine.web import flash
from mailengine.web.forms import sentence
from mailengine.web.rendering import html, theme_of
from mailengine.web.security import PUBLIC_HEADERS
from mailengine.web.session import CSRF_FIELD, MAX_TOKEN_CHARS, cookie_name
from mailengine.web.site import Site

FORM_COOKIE = "mailengine_form"
MAX_FORM_BYTES = 10_000
MAX_FIELD_CHARS = 1000
TOO_OLD = "The page was too old. Please try again."

AnyRequest = Request[Any, Any, State]


async def fields(request: AnyRequest, *names: str) -> tuple[str, ...]:
    """What was typed; a password keeps its spaces."""
    form = await request.form()
    return tuple(str(form.get(name, ""))[:MAX_FIELD_CHARS].replace("\x00", "") for name in names)


async def from_our_form(site: Site, request: AnyRequest) -> bool:
    """Whether the form's token is the one in the browser's cookie, which no other site can read or set."""
    expected = request.cookies.get(cookie_name(site, FORM_COOKIE), "")
    given = str((await request.form()).get(CSRF_FIELD, ""))
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


async def require_our_form(site: Site, request: AnyRequest) -> None:
    """Raise Forbidden for a form of somebody else's, before anything is looked up for it."""
    if not await from_our_form(site, request):
        raise Forbidden("the page was too old; load it again and repeat what you did")


def visitor_page(
    site: Site, request: AnyRequest, template: str, *, status: int = 200, **values: object
) -> Response[str]:
    """The page with the form's token in its cookie; an open form in another tab stays usable. Addresses of such pages
    can hold secrets: no referrer."""
    name = cookie_name(site, FORM_COOKIE)
    token = request.cookies.get(name, "")
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        token = new_token()
    toasts = flash.said(site, request)
    body = site.render(template, theme=theme_of(request), csrf=token, toasts=toasts, **values)
    answer = html(body, status=status, headers=dict(PUBLIC_HEADERS))
    if toasts:
        flash.forget(answer)
    answer.set_cookie(
        Cookie(key=name, value=token, path="/", httponly=True, samesite="strict", secure=site.https)
    )
    return answer


def agent_of(request: AnyRequest) -> str:
    """The browser by its own words, for the list of sessions."""
    return "".join(filter(str.isprintable, request.headers.get("user-agent", "")))[:200]


def later(answer: Response[str], seconds: float) -> Response[str]:
    """Too many attempts: say when the next one is allowed (RFC 9110, section 10.2.3)."""
    answer.headers["Retry-After"] = str(int(seconds) + 1)
    return answer


def too_many(seconds: float) -> str:
    return sentence(str(TooSoon(seconds)))
