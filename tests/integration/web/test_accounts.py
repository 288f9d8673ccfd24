"""Accounts as people use them: a second factor, a forgotten password, an invitation, another organisation; and as
those try who should not."""

import base64
import re
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.domain.accounts import totp
from mailengine.domain.accounts.users import UNKNOWN_USER, create_user
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.models import AuditEntry, Membership, Message, Role, Tenant, User, WebSession
from mailengine.runtime import Runtime
from mailengine.web.app import create_app
from support.browsing import PASSWORD, advance, log_in, submit, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio

OWNER = "owner@acme.test"
NEW = "another horse battery"
SESSION = "mailengine_session"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The rules are tested on both databases where they are (tests/integration/accounts)."""
    return sqlite_dsn


async def mail(rt: Runtime) -> list[Message]:
    async with rt.db.read(INSTANCE) as tx:
        return list(await tx.scalars(sa.select(Message).order_by(col(Message.id))))


async def link(rt: Runtime) -> str:
    """The path of the link in the newest letter; it starts with the settings' base URL."""
    found = re.search(r"(http\S+)", (await mail(rt))[-1].text)
    assert found
    assert found[1].startswith("http://127.0.0.1:8025/")
    return found[1].removeprefix("http://127.0.0.1:8025")


async def turn_on(client: httpx.AsyncClient, rt: Runtime) -> tuple[bytes, list[str]]:
    """Set the second factor up; returns its secret and the recovery codes."""
    page = await client.get("/account/second-factor")
    assert "<svg" in page.text
    found = re.search(r'data-copy="([A-Z2-7]+)"', page.text)
    assert found
    secret = base64.b32decode(found[1] + "=" * (-len(found[1]) % 8))
    answer = await submit(
        client, "/account/second-factor", code=totp.code_at(secret, totp.step_of(rt.clock.now()))
    )
    assert answer.status_code == 200, answer.text
    return secret, re.findall(r"<code>([a-z2-7-]{19})</code>", answer.text)


async def test_a_second_factor_from_the_qr_code_to_the_recovery_code(client: Any, rt: Runtime, acme: Any):
    await log_in(client, OWNER)
    wrong = await submit(client, "/account/second-factor", code="000000")
    assert (wrong.status_code, "The code is wrong" in wrong.text) == (422, True)
    before = client.cookies[SESSION]
    secret, codes = await turn_on(client, rt)
    assert len(codes) == 10
    assert client.cookies[SESSION] != before
    await submit(client, "/logout", page="/account")
    asked = await log_in(client, OWNER, next="/team")
    assert asked.headers["location"] == "/login/code?next=%2Fteam"
    assert SESSION not in client.cookies
    assert (await client.get("/account")).status_code == 303
    for code in (
        "123",
        totp.code_at(secret, totp.step_of(rt.clock.now())),
    ):  # the second was used to set it up
        refused = await submit(client, "/login/code", code=code, next="/team")
        assert (refused.status_code, "wrong or was used" in refused.text) == (422, True)
    inside = await submit(client, "/login/code", code=codes[0], next="/team")
    assert (inside.status_code, inside.headers["location"]) == (303, "/team")
    assert "9 recovery codes" in (await client.get("/account")).text
    async with rt.db.read(INSTANCE) as tx:
        actions = list(await tx.scalars(sa.select(col(AuditEntry.action)).order_by(col(AuditEntry.id))))
    assert actions.count("user.login-failed") == 2
    assert "user.totp-on" in actions


async def test_guesses_at_the_code_are_counted_across_logins(client: Any, rt: Runtime, acme: Any):
    await log_in(client, OWNER)
    secret, _codes = await turn_on(client, rt)
    statuses = []
    for _ in range(4):
        client.cookies.clear()
        await log_in(client, OWNER)
        statuses += [
            (await submit(client, "/login/code", code="000000")).status_code,
            (await submit(client, "/login/code", code="000001")).status_code,
        ]
    assert statuses == [422] * 5 + [429] * 3
    advance(rt, minutes=6)
    await log_in(client, OWNER)
    good = totp.code_at(secret, totp.step_of(rt.clock.now()))
    assert (await submit(client, "/login/code", code=good)).status_code == 303


async def test_dangerous_acts_ask_again_after_ten_minutes(client: Any, rt: Runtime, acme: Any):
    await log_in(client, OWNER)
    advance(rt, minutes=11)
    asked = await submit(client, "/settings/keys", name="shop", role="viewer")
    assert asked.headers["location"] == "/account/confirm?next=%2Fsettings%2Fkeys"
    csrf = await token_on(client, "/account")
    htmx = await client.post("/team", headers={"HX-Request": "true", "x-csrftoken": csrf})
    assert (htmx.status_code, htmx.headers["hx-redirect"][:16]) == (403, "/account/confirm")
    wrong = await submit(client, "/account/confirm", password="wrong password", next="/settings/keys")
    assert (wrong.status_code, "This is not right" in wrong.text) == (422, True)
    before = client.cookies[SESSION]
    right = await submit(client, "/account/confirm", password=PASSWORD, next="//evil.test")
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert client.cookies[SESSION] != before
    made = await submit(client, "/settings/keys", name="shop", role="viewer")
    assert "mek_" in made.text
    assert "mek_" not in (await client.get("/settings/keys")).text
    await submit(client, "/logout", page="/account")
    client.cookies.set(SESSION, before, domain="127.0.0.1")
    assert (await client.get("/account")).status_code == 303, "the token before the proof is void"
    async with rt.db.read(INSTANCE) as tx:
        actions = list(await tx.scalars(sa.select(col(AuditEntry.action)).order_by(col(AuditEntry.id))))
    assert [each for each in actions if "confirm" in each or "logout" in each] == [
        "user.confirm-failed", "user.confirmed", "user.logout",
    ]  # fmt: skip


async def test_a_forgotten_password(client: Any, rt: Runtime, acme: Any, post_office: None):
    await log_in(client, OWNER)
    old = client.cookies[SESSION]
    client.cookies.clear()
    known = await submit(client, "/forgot", email=OWNER)
    unknown = await submit(client, "/forgot", email="nobody@acme.test")
    assert (known.status_code, unknown.status_code) == (200, 200)
    strip = re.compile(r'value="[^"]{43}"')
    assert strip.sub("", known.text).replace(OWNER, "X") == strip.sub("", unknown.text).replace(
        "nobody@acme.test", "X"
    )
    assert [message.email for message in await mail(rt)] == [OWNER]
    path = await link(rt)
    page = await client.get(path)
    assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
    for password, again, said in (
        ("short", "short", "10 to"),
        (NEW, NEW + "x", "not the same"),
        (OWNER, OWNER, "must not"),
    ):
        refused = await submit(client, path, password=password, again=again)
        field = "again" if said == "not the same" else "password"
        assert re.search(rf'id="{field}-error"[^>]*>[^<]*{said}', refused.text), refused.text
        assert refused.status_code == 422
        assert password not in refused.text or password == OWNER
    assert (await submit(client, path, password=NEW, again=NEW)).headers["location"] == "/login"
    assert (await client.get(path)).status_code == 404
    assert (await log_in(client, OWNER)).status_code == 422
    assert (await log_in(client, OWNER, NEW)).status_code == 303
    client.cookies.set(SESSION, old, domain="127.0.0.1")
    assert (await client.get("/account")).status_code == 303
    assert (await mail(rt))[-1].subject == "Your password was changed"


async def test_no_header_steers_the_link(client: Any, rt: Runtime, acme: Any, post_office: None):
    token = await token_on(client, "/forgot")
    evil = {
        "Host": "evil.test",
        "X-Forwarded-Host": "evil.test",
        "Forwarded": "host=evil.test",
        "Origin": "null",
    }
    answer = await client.post("/forgot", data={"email": OWNER, "_csrf_token": token}, headers=evil)
    assert answer.status_code == 200
    assert "evil" not in answer.text
    (message,) = await mail(rt)
    assert "evil" not in message.text + message.html
    assert (await link(rt)).startswith("/reset/")


async def test_letters_cannot_be_asked_for_without_end(
    client: Any, rt: Runtime, acme: Any, post_office: None
):
    statuses = [(await submit(client, "/forgot", email=OWNER)).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert len(await mail(rt)) == 3


async def test_without_a_post_office_the_visitor_learns_nothing(client: Any, rt: Runtime, acme: Any):
    assert (await submit(client, "/forgot", email=OWNER)).status_code == 200
    assert await mail(rt) == []


async def test_an_invitation_makes_a_member_and_an_account(
    client: Any, rt: Runtime, acme: Any, post_office: None
):
    await log_in(client, OWNER)
    sent = await submit(client, "/team", email="ann@example.org", role="viewer")
    assert (sent.status_code, sent.headers["location"]) == (303, "/team")
    page = (await client.get("/team")).text
    assert "ann@example.org" in page
    path = await link(rt)
    assert path.split("/")[-1] not in page, "nobody but the mailbox sees the token"
    client.cookies.clear()
    offer = await client.get(path)
    assert "acme &amp; &lt;Co&gt;" in offer.text
    assert (await submit(client, path, password="short", again="short")).status_code == 422
    joined = await submit(client, path, password=NEW, again=NEW)
    assert (joined.status_code, joined.headers["location"]) == (303, "/")
    team = await client.get("/team")
    assert "ann@example.org" in team.text
    assert 'action="/team/' not in team.text, "a viewer changes nobody"
    assert (await client.get("/settings/keys")).status_code == 403
    assert (await client.get(path)).status_code == 404


async def test_an_invitation_for_somebody_with_an_account(
    client: Any, rt: Runtime, acme: Any, other: Any, post_office: None
):
    await log_in(client, OWNER)
    await submit(client, "/team", email="owner@other.test", role="editor")
    path = await link(rt)
    wrong = await submit(client, path)
    assert wrong.headers["location"].startswith("/login?next=%2Finvitations"), "logged in as somebody else"
    client.cookies.clear()
    page = await client.get(path)
    assert "Log in to join" in page.text
    assert 'name="password"' not in page.text
    await log_in(client, "owner@other.test")
    before = client.cookies[SESSION]
    joined = await submit(client, path)
    assert joined.headers["location"] == "/"
    assert client.cookies[SESSION] != before
    assert "acme &amp; &lt;Co&gt;" in (await client.get("/campaigns")).text
    back = await submit(client, "/account/switch", page="/account", organisation=str(other.scope.tenant_id))
    assert back.status_code == 303
    page = (await client.get("/campaigns")).text
    assert "You work in other &amp; &lt;Co&gt; now" in page
    assert 'aria-label="other &amp; &lt;Co&gt;: switch organisation"' in page
    assert f'name="organisation" value="{acme.scope.tenant_id}"' in page


async def test_an_invitation_that_cannot_leave_is_withdrawn(client: Any, rt: Runtime, acme: Any):
    await log_in(client, OWNER)
    refused = await submit(client, "/team", email="ann@example.org", role="viewer")
    assert refused.status_code == 422
    assert "Open invitations" not in (await client.get("/team")).text


async def test_nobody_switches_to_an_organisation_of_others(client: Any, acme: Any, other: Any):
    await log_in(client, OWNER)
    for wrong in (str(other.scope.tenant_id), "0", "999999"):
        assert (
            await submit(client, "/account/switch", page="/account", organisation=wrong)
        ).status_code == 404
    assert (await submit(client, "/account/switch", page="/account", organisation="x")).status_code == 400


async def test_the_password_is_changed_by_who_knows_it(client: Any, rt: Runtime, acme: Any):
    await log_in(client, OWNER)
    elsewhere = client.cookies[SESSION]
    client.cookies.clear()
    await log_in(client, OWNER)
    change = {"page": "/account", "password": NEW, "again": NEW}
    wrong = await submit(client, "/account/password", current="wrong password", **change)
    assert (wrong.status_code, "not your present password" in wrong.text) == (422, True)
    assert NEW not in wrong.text
    before = client.cookies[SESSION]
    assert (await submit(client, "/account/password", current=PASSWORD, **change)).status_code == 303
    assert client.cookies[SESSION] != before
    assert (await client.get("/account")).status_code == 200
    for token in (elsewhere, before):
        client.cookies.set(SESSION, token, domain="127.0.0.1")
        assert (await client.get("/account")).status_code == 303


async def test_an_address_is_changed_by_its_mailbox(
    client: Any, rt: Runtime, acme: Any, other: Any, post_office: None
):
    await log_in(client, OWNER)
    taken = await submit(client, "/account/email", page="/account", email="owner@other.test")
    fresh = await submit(client, "/account/email", page="/account", email="new@example.org")
    assert taken.headers["location"] == fresh.headers["location"]
    assert taken.headers["set-cookie"] == fresh.headers["set-cookie"], "a taken address is not told"
    assert [message.email for message in await mail(rt)] == ["new@example.org"]
    path = await link(rt)
    assert (await submit(client, path)).status_code == 303
    assert (await mail(rt))[-1].email == OWNER
    client.cookies.clear()
    assert (await log_in(client, "new@example.org")).status_code == 303


async def test_sessions_are_listed_and_ended(client: Any, rt: Runtime, acme: Any, other: Any):
    await log_in(client, OWNER)
    client.cookies.clear()
    token = await token_on(client, "/login")
    agent = {"User-Agent": "Phone <script>"}
    await client.post(
        "/login", data={"email": OWNER, "password": PASSWORD, "_csrf_token": token}, headers=agent
    )
    page = (await client.get("/account")).text
    assert "Phone &lt;script&gt;" in page
    assert "192.0.2.7" in page
    (ending,) = re.findall(r'action="(/account/sessions/[0-9a-f]{64}/end)"', page)
    mine = client.cookies[SESSION]
    client.cookies.clear()
    await log_in(client, "owner@other.test")
    assert (await submit(client, ending, page="/account")).status_code == 404
    client.cookies.clear()
    client.cookies.set(SESSION, mine, domain="127.0.0.1")
    assert (await submit(client, ending, page="/account")).status_code == 303
    async with rt.db.read(INSTANCE) as tx:
        left = await tx.scalars(sa.select(col(WebSession.address)))
        assert len(list(left)) == 2


async def test_another_role_ends_the_session_and_the_new_one_counts(client: Any, rt: Runtime, acme: Any):
    async with rt.db.write(INSTANCE) as tx:
        user = await create_user(
            tx, INSTANCE, email="ann@x.test", password_hash=UNKNOWN_USER, now=rt.clock.now()
        )
        tx.add(Membership(tenant_id=acme.scope.tenant_id, user_id=user.id or 0, role=Role.EDITOR))
    await log_in(client, OWNER)
    path = f"/team/{user.id}/role"
    assert (await submit(client, path, page="/team", role="king")).status_code == 400
    assert (await submit(client, path, page="/team", role="admin")).status_code == 303
    async with rt.db.read(INSTANCE) as tx:
        member = await tx.get(Membership, (acme.scope.tenant_id, user.id))
    assert member is not None
    assert member.role == "admin"
    owner = await rt_user(rt, OWNER)
    last = await submit(client, f"/team/{owner}/role", page="/team", role="viewer")
    assert (last.status_code, "needs an owner" in last.text) == (409, True)


async def rt_user(rt: Runtime, email: str) -> int:
    async with rt.db.read(INSTANCE) as tx:
        return int(await tx.scalar(sa.select(col(User.id)).where(col(User.email) == email)) or 0)


def open_house(make_runtime: Any, visit: Any, **accounts: str) -> tuple[Runtime, httpx.AsyncClient]:
    rt = make_runtime(accounts=accounts)
    return rt, visit(rt)


async def test_signing_up_where_it_is_open(make_runtime: Any, visit: Any, acme: Any, post_office: None):
    rt, client = open_house(make_runtime, visit, sign_up="open")
    given = {"password": NEW, "organisation": "New <Co>", "country": "FR", "postal_address": "Rue 1"}
    async with client:
        assert "Create an account" in (await client.get("/login")).text
        wrong = await submit(
            client, "/sign-up", **{**given, "email": "x", "country": "XX", "password": "short"}
        )
        assert wrong.status_code == 422
        assert "New &lt;Co&gt;" in wrong.text, "what was typed is kept"
        fresh = await submit(client, "/sign-up", email="new@example.org", **given)
        taken = await submit(client, "/sign-up", email=OWNER, **given)
        assert (fresh.status_code, taken.status_code) == (200, 200)
        letters = {message.email: message.subject for message in await mail(rt)}
        assert letters == {"new@example.org": "Confirm your address", OWNER: "You have an account already"}
        (first, _second) = await mail(rt)
        path = re.search(r"http://[^/]+(\S+)", first.text)
        assert path
        assert (await client.get(path[1])).status_code == 200
        async with rt.db.read(INSTANCE) as tx:
            assert await tx.scalar(sa.select(sa.func.count()).select_from(Tenant)) == 1
        assert (await submit(client, path[1])).status_code == 303
        assert "New &lt;Co&gt;" in (await client.get("/settings/organisation")).text
        client.cookies.clear()
        assert (await submit(client, path[1])).status_code == 404


@pytest.mark.parametrize("mode", ["invitation", "closed"])
async def test_signing_up_where_it_is_not(make_runtime: Any, visit: Any, acme: Any, mode: str):
    rt, client = open_house(make_runtime, visit, sign_up=mode)
    async with client:
        page = await client.get("/sign-up")
        assert 'name="password"' not in page.text
        token = await token_on(client, "/login")
        refused = await client.post("/sign-up", data={"email": "a@b.test", "_csrf_token": token})
        assert refused.status_code == 404
        assert await mail(rt) == []


async def test_a_host_cookie_where_the_base_url_is_https(make_runtime: Any, acme: Any):
    rt = make_runtime(web={"base_url": "https://mail.example.org"})
    transport = httpx.ASGITransport(create_app(rt, HitBuffer()))
    async with httpx.AsyncClient(transport=transport, base_url="https://mail.example.org") as client:
        answer = await log_in(client, OWNER)
        (cookie,) = [
            c for c in answer.headers.get_list("set-cookie") if "session=" in c and "Max-Age=0" not in c
        ]
        assert cookie.startswith("__Host-mailengine_session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= {
            part.strip() for part in cookie.split(";")
        }
        assert "Domain" not in cookie
        token = client.cookies["__Host-mailengine_session"]
        client.cookies.clear()
        client.cookies.set("mailengine_session", token, domain="mail.example.org")
        assert (await client.get("/account")).status_code == 303, "planted under the plain name it is nothing"
