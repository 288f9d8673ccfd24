"""The one table from errors to statuses, and their shape: problem documents (RFC 9457) for the API, pages for
people, fragments for htmx.

Invariant: what was not raised on purpose is answered 500 with nothing but a request id; the log has the rest.
"""

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from mailengine.core import errors
from mailengine.core.log import get_logger
from mailengine.web.forms import sentence
from mailengine.web.rendering import html, theme_of
from mailengine.web.security import PUBLIC_HEADERS, request_id
from mailengine.web.session import ProofNeeded
from mailengine.web.site import Site, site_of

STATUS: dict[type[Exception], int] = {
    errors.InvalidInput: 400,
    errors.Unauthorised: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooSoon: 429,  # before what it is a kind of
    errors.Refused: 422,
    errors.Unavailable: 503,
}
TITLES = {
    400: "Bad request",
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Refused",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
PROBLEM_JSON = "application/problem+json"
PUBLIC_PATHS = ("/o/", "/c/", "/u/", "/v/", "/f/", "/p/")

AnyRequest = Request[Any, Any, Any]
log = get_logger("web")


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457; `reasons` lists each rule that refused the request."""

    title: str
    status: int
    detail: str
    request_id: str
    type: str = "about:blank"
    reasons: list[str] = []


def answer(request: AnyRequest, error: Exception) -> Response[Any]:
    """One way for every error."""
    problem = describe(request, error)
    if problem.status >= 500:
        report(request, problem, error)
    return respond(site_of(request), request, problem, error, extra_headers(error))


def describe(request: AnyRequest, error: Exception) -> Problem:
    """What the client is told."""
    status, detail = 500, "something failed inside mailengine; the log has the details under this request id"
    reasons: list[str] = []
    if isinstance(error, errors.MailengineError):
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        detail = str(error)
        reasons = error.reasons if isinstance(error, errors.Refused) else []
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status, detail = error.status_code, error.detail
        reasons = validation_reasons(error)
    return Problem(TITLES.get(status, "Error"), status, detail, request_id(request.scope), reasons=reasons)


def validation_reasons(error: HTTPException) -> list[str]:
    """Each field that a request got wrong, one line each."""
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return []
    found = [part for part in error.extra if isinstance(part, dict)]
    return [": ".join(str(part[key]) for key in ("key", "message") if part.get(key)) for part in found]


def extra_headers(error: Exception) -> dict[str, str]:
    """Headers that the status asks for: Allow with 405, WWW-Authenticate with 401, Retry-After with 429."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, errors.Unauthorised):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.TooSoon):
        headers["Retry-After"] = str(error.wait_seconds)
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = "5"
    return headers


def report(request: AnyRequest, problem: Problem, error: Exception) -> None:
    """The log gets the route's pattern, not the path: paths of public links are credentials."""
    log.error(
        "request failed",
        status=problem.status,
        request_id=problem.request_id,
        method=request.method,
        route=request.scope.get("path_template", ""),
        error=repr(error),
        exc_info=error if problem.status == 500 else None,
    )


def respond(
    site: Site, request: AnyRequest, problem: Problem, error: Exception, headers: dict[str, str]
) -> Response[Any]:
    path = request.scope["path"]
    if path.startswith("/api/"):
        body = msgspec.json.encode(problem)
        return Response(body, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)
    if path.startswith(PUBLIC_PATHS):
        return public_page(site, request, problem, headers)
    if problem.status == 401:
        return to_login(request)
    if isinstance(error, ProofNeeded):
        return to_proof(request, error.back)
    return page(site, request, problem, headers)


def public_page(site: Site, request: AnyRequest, problem: Problem, headers: dict[str, str]) -> Response[Any]:
    """A recipient learns that the link does not work, and nothing of why."""
    headers |= PUBLIC_HEADERS
    if problem.status in (400, 404):
        body = site.render("public/gone.html", theme=theme_of(request))
        return html(body, status=404, headers=headers)
    return page(site, request, problem, headers)


def to_login(request: AnyRequest) -> Response[Any]:
    """Ask for the login; htmx would swap the login page into a corner, so it is told to go there."""
    if request.headers.get("hx-request") == "true":
        return Response(None, status_code=401, headers={"HX-Redirect": "/login"})
    wanted = request.scope["path"]
    here = "?" + urlencode({"next": wanted}) if request.method == "GET" and wanted != "/" else ""
    return Response(None, status_code=303, headers={"Location": "/login" + here})


def to_proof(request: AnyRequest, back: str) -> Response[Any]:
    """Ask for the password again, and come back to where the act was begun."""
    target = "/account/confirm?" + urlencode({"next": back})
    if request.headers.get("hx-request") == "true":
        return Response(None, status_code=403, headers={"HX-Redirect": target})
    return Response(None, status_code=303, headers={"Location": target})


def page(site: Site, request: AnyRequest, problem: Problem, headers: dict[str, str]) -> Response[Any]:
    """The error for a person; htmx gets it as a toast, and leaves the page as it is."""
    if request.headers.get("hx-request") == "true":
        text = sentence(": ".join([problem.detail, *problem.reasons]))
        body = site.render("fragments/toast.html", category="error", text=text)
        # The page stays as it is, with what was typed, and so does its address.
        headers |= {
            "HX-Retarget": "#toaster",
            "HX-Reswap": "beforeend",
            "HX-Reselect": ".toast",
            "HX-Push-Url": "false",
        }
        return html(body, status=problem.status, headers=headers)
    inside = not request.scope["path"].startswith(PUBLIC_PATHS)
    body = site.render(
        "public/error.html",
        theme=theme_of(request),
        problem=problem,
        detail=sentence(problem.detail),
        inside=inside,
    )
    return html(body, status=problem.status, headers=headers)
