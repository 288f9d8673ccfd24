"""What holds for every route that there is, and for the next one that somebody adds: the app is asked for its routes.

Without a login, without the CSRF token, with too low a role, for another tenant's rows: nothing changes. Every answer
carries the strict headers.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from sqlmodel import col

from mailengine.core.scope import Grant
from mailengine.db.tenancy import owned_tables
from mailengine.models import Membership, Role, metadata
from mailengine.runtime import Runtime
from mailengine.web.session import NEEDS, SAFE_METHODS, require_api_access, require_login
from support.browsing import log_in, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio

# Links in messages carry their own credential, and mail programs post to them (RFC 8058); sign-up forms (/f/) stand
# on sites of other people: no form token.
LINKED = ("/u/", "/c/", "/o/", "/v/", "/p/", "/f/")
PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
# Where one's own session and the log of what was tried are kept; a refused request may count there.
NOISE = {"web_sessions", "audit_log"}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What HTTP refuses does not depend on the database."""
    return sqlite_dsn


def handlers(app: Litestar) -> Iterator[tuple[str, str, BaseRouteHandler]]:
    """Method, path and handler of everything that the app answers."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods - {"OPTIONS"}:
                    yield method, route.path_format, handler


def changing(app: Litestar, guard: Any) -> list[tuple[str, str, BaseRouteHandler]]:
    found = [
        (method, path, handler)
        for method, path, handler in handlers(app)
        if method not in SAFE_METHODS and (guard in handler.resolve_guards() if guard else True)
    ]
    assert found
    return found


def url_of(path: str, sent: Any) -> str:
    """The path with the ids of the tenant's rows in it."""
    known = {name: getattr(sent, name) for name in ("contact_id", "list_id", "template_id", "campaign_id")}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return str(known.get(name, "pause" if name == "act" else 1))

    return PARAMETER.sub(value, path)


async def dump(rt: Runtime, tenant_id: int) -> dict[str, list[Any]]:
    """Every row of the tenant's, but for what a refused request may leave."""
    async with rt.db.read(INSTANCE) as tx:
        return {
            table.name: sorted(
                (
                    tuple(row)
                    for row in await tx.execute(sa.select(table).where(table.c.tenant_id == tenant_id))
                ),
                key=repr,
            )
            for table in owned_tables(metadata)
            if table.name not in NOISE
        }


async def ask(
    client: httpx.AsyncClient, method: str, url: str, csrf: str = "", **options: Any
) -> httpx.Response:
    headers = {"x-csrftoken": csrf} if csrf else {}
    return await client.request(method, url, headers=headers, **options)


async def test_who_is_not_logged_in_changes_nothing(client: Any, app: Litestar, rt: Runtime, acme: Any):
    before = await dump(rt, acme.scope.tenant_id)
    for guard, statuses in ((require_login, (303,)), (require_api_access, (401,))):
        for method, path, _handler in changing(app, guard):
            answer = await ask(client, method, url_of(path, acme))
            assert answer.status_code in statuses, (method, path, answer.text)
            assert answer.headers.get("location", "/login").startswith("/login"), (method, path)
    assert await dump(rt, acme.scope.tenant_id) == before


async def test_no_route_changes_anything_without_its_token(
    client: Any, app: Litestar, rt: Runtime, acme: Any
):
    await log_in(client, "owner@acme.test")
    before = await dump(rt, acme.scope.tenant_id)
    tried = 0
    for method, path, handler in changing(app, None):
        if path.startswith(LINKED) or handler.opt.get("no_csrf"):
            continue
        for csrf in ("", "wrong"):
            answer = await ask(client, method, url_of(path, acme), csrf)
            assert answer.status_code == 403, (method, path, answer.status_code, answer.text)
        tried += 1
    assert tried > 40
    assert await dump(rt, acme.scope.tenant_id) == before


async def test_every_route_is_behind_a_guard_or_known_to_be_public(app: Litestar):
    """A new page is put into the right router: what is open to everybody is listed here."""
    public = {
        path
        for _method, path, handler in handlers(app)
        if not {require_login, require_api_access} & set(handler.resolve_guards())
    }
    known = re.compile(
        r"/(livez|readyz|health|metrics|login(/code)?|oidc(/.*)?|forgot|reset/.*|sign-up(/.*)?|invitations/.*"
        r"|setup/start/.*|static(/.*)?|api/(docs|openapi.json|schema.*)|[ucovf]/.*|p/.*|lists?/.*|subscribe/.*|confirm/.*)"
    )
    assert [path for path in sorted(public) if not known.fullmatch(path)] == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_a_lower_role_is_refused_by_the_guard(
    client: Any, app: Litestar, rt: Runtime, acme: Any, role: Role
):
    async with rt.db.write(INSTANCE) as tx:
        mine = col(Membership.tenant_id) == acme.scope.tenant_id
        await tx.execute(sa.update(Membership).where(mine).values(role=role))
    await log_in(client, "owner@acme.test")
    csrf, before = await token_on(client, "/account"), await dump(rt, acme.scope.tenant_id)
    refused = 0
    for guard in (require_login, require_api_access):
        for method, path, handler in changing(app, guard):
            needed = handler.opt.get(NEEDS, Grant.EDIT)
            allowed = (
                (None, Grant.READ) if role is Role.VIEWER else (None, Grant.READ, Grant.EDIT, Grant.SEND)
            )
            if needed in allowed:
                continue
            answer = await ask(client, method, url_of(path, acme), csrf)
            assert answer.status_code == 403, (method, path, answer.status_code, answer.text)
            refused += 1
    assert refused > (20 if role is Role.VIEWER else 5)
    assert await dump(rt, acme.scope.tenant_id) == before


async def test_another_tenants_rows_stay_as_they_are(
    client: Any, app: Litestar, rt: Runtime, acme: Any, other: Any
):
    await log_in(client, "owner@other.test")
    csrf, before = await token_on(client, "/account"), await dump(rt, acme.scope.tenant_id)
    tried = 0
    for guard in (require_login, require_api_access):
        for method, path, handler in changing(app, guard):
            if "{" not in path or handler.opt.get(NEEDS, Grant.EDIT) is None:
                continue
            body = {"json": {}} if guard is require_api_access else {"data": {"name": "x", "role": "viewer"}}
            answer = await ask(client, method, url_of(path, acme), csrf, **body)
            assert answer.status_code in (400, 404, 409, 422), (method, path, answer.status_code, answer.text)
            tried += 1
    assert tried > 10
    assert await dump(rt, acme.scope.tenant_id) == before


async def test_every_answer_carries_the_headers(client: Any, app: Litestar, acme: Any):
    """Pages, errors, redirects, files: also of what is not there and of methods that are not allowed."""
    await log_in(client, "owner@acme.test")
    asked = [("GET", url_of(path, acme)) for method, path, _ in handlers(app) if method == "GET"]
    asked = [(method, url) for method, url in asked if "/events" not in url]
    asked += [
        ("GET", "/nothing"),
        ("GET", "/static/nothing.js"),
        ("PUT", "/login"),
        ("GET", "/api/v1/nothing"),
    ]
    for method, url in asked:
        answer = await client.request(method, url)
        assert answer.status_code < 500 or url == "/health", (url, answer.status_code, answer.text)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy or "default-src 'none'" in policy, url
        assert "script-src" not in policy, url
        assert "frame-ancestors" in policy, url
        for name in ("x-content-type-options", "referrer-policy", "permissions-policy", "x-request-id"):
            assert answer.headers[name], (url, name)
