"""Logging in and out as people, other sites and guessers do it."""

import re
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar

from mailengine.core.scope import InstanceScope
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.models import WebSession
from mailengine.runtime import Runtime
from mailengine.web.app import create_app
from mailengine.web.redirects import own_path
from support.browsing import advance

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


async def log_in(client: Any, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    page = await client.get("/login")
    token = TOKEN.search(page.text)
    assert token, page.text
    data = {"email": email, "password": password, "_csrf_token": token[1], **fields}
    answer: httpx.Response = await client.post("/login", data=data)
    return answer


async def test_log_in_and_out(client: Any, acme: Any, rt: Runtime):
    assert (await client.get("/campaigns")).headers["location"] == "/login?next=%2Fcampaigns"
    answer = await log_in(client, "OWNER@Acme.test")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("mailengine_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    page = await client.get("/campaigns")
    assert page.status_code == 200
    assert "acme &lt;script&gt;" in page.text
    assert "<script>acme" not in page.text
    csrf = TOKEN.search(page.text)
    assert csrf
    out = await client.post("/logout", data={"_csrf_token": csrf[1]})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert (await client.get("/campaigns")).status_code == 303
    async with rt.db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(WebSession)) == 0


async def test_the_session_is_new_with_every_login(client: Any, acme: Any):
    client.cookies.set("mailengine_session", "fixed-by-an-attacker", domain="127.0.0.1")
    await log_in(client, "owner@acme.test")
    first = client.cookies["mailengine_session"]
    assert first != "fixed-by-an-attacker"
    client.cookies.clear()
    await log_in(client, "owner@acme.test")
    assert client.cookies["mailengine_session"] != first


async def test_a_wrong_login_always_says_the_same(client: Any, acme: Any):
    for email, password in (
        ("owner@acme.test", "wrong password"),
        ("nobody@acme.test", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
    ):
        answer = await log_in(client, email, password)
        assert answer.status_code == 422
        assert "The e-mail address or the password is wrong." in answer.text
        assert password not in answer.text or not password
        assert "mailengine_session" not in client.cookies


async def test_the_login_form_needs_the_token_of_its_own_cookie(client: Any, acme: Any):
    data = {"email": "owner@acme.test", "password": PASSWORD}
    for token in ("", "x"):
        client.cookies.clear()
        assert (await client.post("/login", data={**data, "_csrf_token": token})).status_code == 403
    await client.get("/login")
    assert (await client.post("/login", data={**data, "_csrf_token": "x"})).status_code == 403
    assert (await client.post("/login", data=data)).status_code == 403
    assert "mailengine_session" not in client.cookies


async def test_guesses_are_slowed_down(client: Any, acme: Any, rt: Runtime):
    for _ in range(10):
        assert (await log_in(client, "owner@acme.test", "wrong password")).status_code == 422
    refused = await log_in(client, "owner@acme.test")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 61
    assert "Too many attempts" in refused.text
    advance(rt, minutes=2)
    assert (await log_in(client, "owner@acme.test")).status_code == 303


async def test_next_leads_only_to_pages_of_ours(client: Any, acme: Any):
    good = await log_in(client, "owner@acme.test", next="/caught?query=a")
    assert good.headers["location"] == "/caught?query=a"
    client.cookies.clear()
    bad = await log_in(client, "owner@acme.test", next="//evil.test/")
    assert bad.headers["location"] == "/"


@pytest.mark.parametrize(
    "path",
    [
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "evil",
        "/\t/evil.test",
        "/a\r\nX: y",
    ],
)
async def test_paths_that_lead_away(path: str):
    assert own_path(path) == "/"


async def test_the_cookie_never_leaves_by_http_when_the_base_url_is_https(make_runtime: Any, acme: Any):
    rt = make_runtime(web={"base_url": "https://mail.example.org"})
    app: Litestar = create_app(rt, HitBuffer())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://mail.example.org") as client:
        answer = await log_in(client, "owner@acme.test")
        cookies = answer.headers.get_list("set-cookie")
        assert any("mailengine_session" in cookie and "Secure" in cookie for cookie in cookies)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_an_expired_session_is_over(client: Any, acme: Any, rt: Runtime):
    await log_in(client, "owner@acme.test")
    advance(rt, days=15)
    assert (await client.get("/campaigns")).status_code == 303
    gone = await client.get("/campaigns", headers={"HX-Request": "true"})
    assert (gone.status_code, gone.headers["hx-redirect"]) == (401, "/login")
