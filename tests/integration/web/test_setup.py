"""The first steps in the browser: begun by the printed link, left, resumed, finished."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar

from mailengine.domain.accounts import setup
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.models import Membership, Relay, SendingDomain, Tenant, User
from mailengine.runtime import Runtime
from mailengine.web.app import create_app
from peers.catcher import Catcher
from support.browsing import PASSWORD, log_in, submit, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
GIVEN = {
    "organisation": "Acme <Co>",
    "country": "DE",
    "postal_address": "Street 1",
    "email": "ann@example.org",
    "password": PASSWORD,
}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    return sqlite_dsn


async def printed(rt: Runtime) -> str:
    async with rt.db.write(INSTANCE) as tx:
        token = await setup.setup_token(tx, INSTANCE, now=rt.clock.now())
    assert token
    return f"/setup/start/{token}"


async def count(rt: Runtime, table: Any) -> int:
    async with rt.db.read(INSTANCE) as tx:
        return await tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0


async def test_from_the_link_to_a_message(client: Any, app: Litestar, rt: Runtime, catcher: Catcher):
    path = await printed(rt)
    assert "mailengine setup-link" in (await client.get("/login")).text
    wrong = await submit(
        client, path, **{**GIVEN, "country": "XX", "password": "short", "postal_address": ""}
    )
    assert wrong.status_code == 422
    assert "Acme &lt;Co&gt;" in wrong.text
    assert "short" not in wrong.text.replace("A short", "")
    assert await count(rt, User) == 0
    begun = await submit(client, path, **GIVEN)
    assert begun.headers["location"] == "/setup"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=client.base_url
    ) as stranger:
        assert "setup-link" not in (await stranger.get("/login")).text
    assert (await client.get("/setup")).headers["location"] == "/setup/relay"
    assert "A few steps are left" in (await client.get("/campaigns")).text
    given = {"host": "127.0.0.1", "tls": "none"}
    for bad in (
        {"port": "0"},
        {"port": "x"},
        {"port": "25", "tls": "rot13"},
        {"port": "25", "username": "u"},
    ):
        assert (await submit(client, "/setup/relay", **{**given, **bad})).status_code == 422
    assert (await submit(client, "/setup/relay", **given, port=str(catcher.port))).status_code == 303
    sent = await submit(client, "/setup/relay/test", page="/setup/relay")
    assert sent.headers["location"] == "/setup/domain"
    assert len(catcher.messages_for("ann@example.org")) == 1
    assert (await client.get("/setup")).headers["location"] == "/setup/domain"
    assert (await submit(client, "/setup/domain", domain="no domain")).status_code == 422
    assert (await submit(client, "/setup/domain", domain="Example.org")).status_code == 303
    records = (await client.get("/setup/domain")).text
    assert "_domainkey.example.org" in records
    assert "v=spf1" in records
    assert (await client.get("/setup")).headers["location"] == "/setup/base-url"
    for url in ("news.example.org", "https://u:p@x", "javascript:alert(1)"):
        assert (await submit(client, "/setup/base-url", base_url=url)).status_code == 422
    finished = await submit(client, "/setup/base-url", base_url="http://127.0.0.1:8025")
    assert finished.headers["location"] == "/"
    assert "A few steps are left" not in (await client.get("/campaigns")).text


async def test_a_server_that_does_not_answer_is_said(client: Any, rt: Runtime, acme: Any):
    await log_in(client, "owner@acme.test")
    nobody = await submit(client, "/setup/relay/test", page="/setup/base-url")
    assert (nobody.status_code, "no mail server yet" in nobody.text) == (422, False)
    await submit(client, "/setup/relay", host="127.0.0.1", port="9", tls="none")
    failed = await submit(client, "/setup/relay/test", page="/setup/relay")
    assert (failed.status_code, "It fails at" in failed.text) == (422, True)
    assert await count(rt, Relay) == 1


async def test_a_new_base_url_starts_every_role_again(make_runtime: Any, acme: Any):
    rt, restarts = make_runtime(), []
    app = create_app(rt, HitBuffer(), restart=lambda: restarts.append(1))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8025"
    ) as client:
        await log_in(client, "owner@acme.test")
        moved = await submit(client, "/setup/base-url", base_url="https://news.example.org")
        assert "https://news.example.org/login" in moved.text
    assert restarts == [1]


async def test_the_settings_base_url_counts(make_runtime: Any, acme: Any):
    rt = make_runtime(web={"base_url": "http://127.0.0.1:8025"})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(rt, HitBuffer())), base_url="http://127.0.0.1:8025"
    ) as client:
        await log_in(client, "owner@acme.test")
        refused = await submit(client, "/setup/base-url", base_url="https://news.example.org")
        assert (refused.status_code, "MAILENGINE_WEB_BASE_URL" in refused.text) == (422, True)


async def test_other_organisations_and_roles_do_not_move_the_installation(
    client: Any, rt: Runtime, acme: Any, other: Any
):
    await log_in(client, "owner@other.test")
    moved = await submit(client, "/setup/base-url", base_url="https://evil.test")
    assert moved.status_code == 403
    await submit(client, "/logout", page="/account")
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="admin"))
    await log_in(client, "owner@acme.test")
    csrf = await token_on(client, "/account")
    answer = await client.post("/setup/base-url", data={"base_url": "https://evil.test", "_csrf_token": csrf})
    assert answer.status_code == 403
    async with rt.db.read(INSTANCE) as tx:
        assert await setup.base_url(tx, INSTANCE) == ""


async def test_the_rest_can_be_left_for_later(client: Any, rt: Runtime, acme: Any):
    await log_in(client, "owner@acme.test")
    assert "A few steps are left" in (await client.get("/campaigns")).text
    assert (await submit(client, "/setup/finish", page="/setup/relay")).status_code == 303
    assert "A few steps are left" not in (await client.get("/campaigns")).text
    assert await count(rt, Tenant) == 1
    assert await count(rt, SendingDomain) == 0
