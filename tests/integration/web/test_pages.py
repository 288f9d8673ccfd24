"""The pages behind the login: who may see and do what, and the attacks on them."""

import os
import re
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.models import Campaign, KillSwitch, Lease, Membership
from mailengine.runtime import Runtime
from mailengine.web.app import create_app

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


async def log_in(client: Any, slug: str = "acme") -> str:
    """Log in as the tenant's owner; returns the session's CSRF token."""
    token = TOKEN.search((await client.get("/login")).text)
    assert token
    data = {"email": f"owner@{slug}.test", "password": PASSWORD, "_csrf_token": token[1]}
    assert (await client.post("/login", data=data)).status_code == 303
    found = TOKEN.search((await client.get("/campaigns")).text)
    assert found
    return found[1]


async def under_way(rt: Runtime, sent: Any, state: str = "sending") -> None:
    """The tenant's campaign as if it were in the middle of its sending."""
    async with rt.db.write(INSTANCE) as tx:
        chosen = col(Campaign.id) == sent.campaign_id
        await tx.execute(sa.update(Campaign).where(chosen).values(state=state, finished_at=None))


async def state_of(rt: Runtime, sent: Any) -> str:
    async with rt.db.read(INSTANCE) as tx:
        return str(
            await tx.scalar(sa.select(col(Campaign.state)).where(col(Campaign.id) == sent.campaign_id))
        )


async def test_pages_ask_for_the_login(client: Any):
    for path in ("/", "/campaigns", "/events/campaigns", "/caught", "/caught/x"):
        answer = await client.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login")


async def test_every_answer_has_the_strict_headers(client: Any, acme: Any):
    await log_in(client)
    for path in (
        "/campaigns",
        "/login",
        "/nothing",
        "/livez",
        "/api/docs",
        "/api/v1/lists",
        "/static/nothing.js",
    ):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' data:; base-uri 'none'"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in headers
        assert headers["x-request-id"]
        assert headers["cache-control"] == "no-store", path


async def test_names_are_text_on_the_page(client: Any, acme: Any, other: Any):
    await log_in(client)
    page = (await client.get("/campaigns")).text
    assert "acme &lt;script&gt;" in page
    assert "acme &amp; &lt;Co&gt;" in page
    assert "<script>acme" not in page
    assert "other" not in page.replace("another", "")


async def test_pause_resume_and_cancel(client: Any, rt: Runtime, acme: Any):
    await under_way(rt, acme)
    csrf = await log_in(client)
    url = f"/campaigns/{acme.campaign_id}"
    plain = await client.post(f"{url}/pause", data={"_csrf_token": csrf})
    assert (plain.status_code, plain.headers["location"]) == (303, url)
    assert await state_of(rt, acme) == "paused"
    headers = {"HX-Request": "true", "HX-Target": "div#campaigns", "x-csrftoken": csrf}
    fragment = await client.post(f"{url}/resume", headers=headers)
    assert fragment.status_code == 200
    assert "<html" not in fragment.text
    assert "is being sent again" in fragment.text
    assert f'action="{url}/pause"' in fragment.text
    assert (await client.post(f"{url}/cancel", headers=headers)).status_code == 200
    assert await state_of(rt, acme) == "cancelled"
    toast = await client.post(f"{url}/pause", headers=headers)
    assert toast.status_code == 409
    assert (toast.headers["hx-retarget"], "cannot become paused" in toast.text) == ("#toaster", True)
    assert (await client.post(f"{url}/explode", headers=headers)).status_code == 404


async def test_the_other_tenants_campaign_is_not_there(client: Any, rt: Runtime, acme: Any, other: Any):
    await under_way(rt, other)
    csrf = await log_in(client)
    for act in ("pause", "resume", "cancel"):
        answer = await client.post(f"/campaigns/{other.campaign_id}/{act}", data={"_csrf_token": csrf})
        assert answer.status_code == 404
    assert await state_of(rt, other) == "sending"


async def test_a_viewer_sees_no_buttons_and_may_not_press_them(client: Any, rt: Runtime, acme: Any):
    await under_way(rt, acme)
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    csrf = await log_in(client)
    assert "/pause" not in (await client.get("/campaigns")).text
    answer = await client.post(f"/campaigns/{acme.campaign_id}/pause", data={"_csrf_token": csrf})
    assert answer.status_code == 403
    assert await state_of(rt, acme) == "sending"


async def test_nothing_changes_without_this_sessions_csrf_token(
    client: Any, app: Any, rt: Runtime, acme: Any, other: Any
):
    await under_way(rt, acme)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025") as stranger:
        foreign = await log_in(stranger, "other")
    await log_in(client)
    url = f"/campaigns/{acme.campaign_id}/pause"
    attacks: list[dict[str, Any]] = [
        {},
        {"data": {"_csrf_token": ""}},
        {"data": {"_csrf_token": "wrong"}},
        {"data": {"_csrf_token": foreign}},
        {"headers": {"x-csrftoken": foreign}},
        {"headers": {"x-csrftoken": "ü".encode("latin-1")}},
        {"json": {"_csrf_token": foreign}},
        {"params": {"_csrf_token": foreign}},
        {"headers": {"HX-Request": "true"}},
    ]
    for attack in attacks:
        assert (await client.post(url, **attack)).status_code == 403, attack
        assert (await client.post("/logout", **attack)).status_code == 403, attack
    assert await state_of(rt, acme) == "sending"
    assert (await client.get("/campaigns")).status_code == 200


async def test_the_host_header_steers_nothing(client: Any, acme: Any):
    evil = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}
    for path in ("/login", "/", "/campaigns", "/nothing", "/api/openapi.json", "/api/docs"):
        answer = await client.get(path, headers=evil)
        assert "evil.test" not in answer.text + str(answer.headers)


async def test_a_kill_switch_is_said(client: Any, rt: Runtime, acme: Any):
    async with rt.db.write(INSTANCE) as tx:
        tx.add(KillSwitch(key=0, reason="", set_by="cli", set_at=rt.clock.now()))
    await log_in(client)
    assert "All sending is stopped" in (await client.get("/campaigns")).text


async def test_an_unexpected_error_tells_nothing(rt: Runtime, acme: Any):
    app = create_app(rt, HitBuffer())
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.text("ALTER TABLE campaign_totals RENAME TO gone"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025") as client:
        token = TOKEN.search((await client.get("/login")).text)
        assert token
        data = {"email": "owner@acme.test", "password": PASSWORD, "_csrf_token": token[1]}
        await client.post("/login", data=data)
        answer = await client.get("/campaigns")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "campaign_totals" not in answer.text
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.text("ALTER TABLE gone RENAME TO campaign_totals"))


def put_message(maildir: Path, name: str, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Acme <a@acme.test>", "ann@x.test", subject
    message.set_content("plain words")
    message.add_alternative("<p>rich <script>alert(1)</script></p>", subtype="html")
    (maildir / "new").mkdir(parents=True, exist_ok=True)
    (maildir / "new" / name).write_bytes(message.as_bytes())


@pytest.fixture
def catching(make_runtime: Any, tmp_path: Path) -> Runtime:
    put_message(tmp_path / "mail", "1.M1P1.host", "First <b>")
    put_message(tmp_path / "mail", "2.M2P1.host:2,S", "Second")
    (tmp_path / "mail" / "new" / "3.broken").write_bytes(b"\xff\x00 no message\n\n\xff")
    (tmp_path / "mail" / "secret").write_text("not a message")
    (tmp_path / "secret.txt").write_text("not a message")
    rt: Runtime = make_runtime(catcher={"maildir": tmp_path / "mail"})
    return rt


async def test_caught_mail(catching: Runtime, acme: Any):
    transport = httpx.ASGITransport(create_app(catching, HitBuffer()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025") as client:
        await log_in(client)
        page = await client.get("/caught")
        assert page.status_code == 200
        assert "First &lt;b&gt;" in page.text
        assert "3 messages" in page.text
        assert "First" not in (await client.get("/caught", params={"q": "second"})).text
        for where, words, number in (
            ("", "acme", 2), ("sender", "ACME", 2), ("recipient", "ann@x", 2), ("subject", "first", 1),
            ("subject", "ann@x", 0), ("recipient", "first", 0), ("sender", "ann@x", 0), ("elsewhere", "first", 1),
        ):  # fmt: skip
            looked = (await client.get("/caught", params={"q": words, "in": where})).text
            assert (f"{number} message" in looked) is (number > 0), (where, words)
            assert ("Nothing found" in looked) is (number == 0), (where, words)
        for strange in (
            {"cursor": "-1"},
            {"cursor": "9" * 15},
            {"cursor": "x"},
            {"q": "\x00", "in": "x" * 999},
        ):
            assert (await client.get("/caught", params=strange)).status_code == 200
        one = await client.get("/caught/1.M1P1.host")
        assert one.status_code == 200
        assert "plain words" in one.text
        assert "alert(1)" not in one.text
        framed = await client.get("/caught/1.M1P1.host/html")
        assert "<script>alert(1)</script>" in framed.text
        policy = framed.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "sandbox allow-popups" in policy
        assert policy.endswith("frame-ancestors 'self'")
        raw = await client.get("/caught/2.M2P1.host:2,S/raw")
        assert raw.headers["content-disposition"].startswith("attachment")
        assert (await client.get("/caught/3.broken")).status_code == 200
        assert (await client.get("/caught/3.broken/html")).status_code == 404
        for name in (
            "..",
            "../secret",
            "%2e%2e%2fsecret",
            "..%2F..%2Fsecret.txt",
            "secret",
            ".hidden",
            "%00",
            "a" * 999,
        ):
            for part in ("", "/html", "/raw"):
                answer = await client.get(f"/caught/{name}{part}")
                assert answer.status_code == 404 or answer.url.path == "/", name


async def test_without_a_catcher_there_is_no_caught_mail(client: Any, acme: Any):
    await log_in(client)
    assert (await client.get("/caught")).status_code == 404


async def test_health_tells_what_is_missing(client: Any, rt: Runtime, acme: Any):
    assert (await client.get("/livez")).text == "ok"
    assert (await client.get("/readyz")).text == "ok"
    idle = await client.get("/health")
    assert (idle.status_code, idle.json()["scheduler"]) == (503, "not running")
    async with rt.db.write(INSTANCE) as tx:
        tx.add(Lease(name="scheduler", holder="x", expires_at=rt.clock.now() + timedelta(seconds=5)))
    unsent = await client.get("/health")
    assert (unsent.status_code, unsent.json()["worker"]) == (503, "not running")
    async with rt.db.write(INSTANCE) as tx:
        tx.add(Lease(name="worker:x", holder="x", expires_at=rt.clock.now() + timedelta(seconds=5)))
    running = await client.get("/health")
    assert (running.status_code, running.json()["status"]) == (200, "ok")
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for path in ("/readyz", "/health"):
        assert (await client.get(path)).status_code == 503
    assert "newer mailengine" in (await client.get("/health")).json()["problem"]


async def test_assets_are_kept_for_ever(client: Any):
    page = (await client.get("/login")).text
    script = re.search(r'src="(/static/assets/app-[^"]+\.js)"', page)
    if script is None:
        assert os.environ.get("MAILENGINE_SKIP_WEB"), "the web assets are not built"
        return
    answer = await client.get(script[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert "max-age=31536000" in answer.headers["cache-control"]
    assert (await client.get("/static/%2e%2e/%2e%2e/app.py")).status_code == 404
