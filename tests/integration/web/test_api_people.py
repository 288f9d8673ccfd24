"""Members, invitations and API keys over the API: nobody gives more than they have, secrets are said once."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.domain.accounts.users import create_user
from mailengine.models import ApiKey, AuditEntry, Invitation, Membership, Message, Role
from mailengine.runtime import Runtime
from support.browsing import advance, log_in, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
MEMBERS, INVITATIONS, KEYS = "/api/v1/members", "/api/v1/invitations", "/api/v1/api-keys"
LETTER = "ned@example.org"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
async def owner(acme: Any, key: Any) -> Any:
    return await key(acme.scope, Role.OWNER)


@pytest.fixture
async def admin(acme: Any, key: Any) -> Any:
    return await key(acme.scope, Role.ADMIN)


async def join(rt: Runtime, sent: Any, email: str, role: Role) -> int:
    """Another member of the tenant."""
    async with rt.db.write(INSTANCE) as tx:
        user = await create_user(tx, INSTANCE, email=email, password_hash="x", now=rt.clock.now())
        tx.add(Membership(tenant_id=int(sent.scope.tenant_id), user_id=user.id or 0, role=role))
    return user.id or 0


async def members(client: httpx.AsyncClient, headers: Any) -> dict[str, str]:
    found = (await client.get(MEMBERS, headers=headers)).json()
    assert found["total"] == len(found["items"])
    return {row["email"]: row["role"] for row in found["items"]}


async def test_roles_are_given_below_ones_own_and_an_owner_stays(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, owner: Any, admin: Any, key: Any
) -> None:
    ned = await join(rt, acme, LETTER, Role.VIEWER)
    theirs = await join(rt, other, "theirs@example.org", Role.EDITOR)
    rows = (await client.get(MEMBERS, headers=owner)).json()["items"]
    boss = next(row["id"] for row in rows if row["role"] == "owner")
    assert await members(client, owner) == {acme.email: "owner", LETTER: "viewer"}
    for who, role, headers, status in (
        (ned, "owner", admin, 403), (boss, "viewer", admin, 403), (theirs, "viewer", owner, 404),
        (999, "viewer", owner, 404), (boss, "admin", owner, 409), (ned, "king", owner, 400),
        (ned, None, owner, 400),
    ):  # fmt: skip
        answer = await client.patch(f"{MEMBERS}/{who}", json={"role": role}, headers=headers)
        assert answer.status_code == status, (who, role, answer.text)
    changed = await client.patch(f"{MEMBERS}/{ned}", json={"role": "admin"}, headers=admin)
    assert (changed.json()["email"], changed.json()["role"]) == (LETTER, "admin"), changed.text
    for who, headers, status in (
        (boss, admin, 403),
        (boss, owner, 409),
        (theirs, owner, 404),
        (ned, admin, 204),
    ):
        answer = await client.delete(f"{MEMBERS}/{who}", headers=headers)
        assert answer.status_code == status, (who, answer.text)
    assert await members(client, owner) == {acme.email: "owner"}
    assert await members(client, await key(other.scope, Role.VIEWER)) == {
        "owner@other.test": "owner", "theirs@example.org": "editor"
    }  # fmt: skip


async def test_a_key_makes_no_key_that_may_more_than_itself(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, admin: Any, key: Any
) -> None:
    refused = await client.post(KEYS, json={"name": "top", "role": "owner"}, headers=admin)
    assert refused.status_code == 403, refused.text
    made = await client.post(KEYS, json={"name": "shop", "role": "viewer"}, headers=admin)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    token, shown = made.json()["token"], made.json()["key"]
    assert (shown["name"], shown["role"], shown["revoked_at"]) == ("shop", "viewer", None)
    editor = await key(acme.scope, Role.EDITOR)
    shop = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/api/v1/contacts", headers=shop)).status_code == 200
    for method, path, body in (
        ("POST", KEYS, {"name": "more", "role": "viewer"}), ("GET", KEYS, None), ("GET", INVITATIONS, None),
        ("POST", INVITATIONS, {"email": LETTER, "role": "viewer"}), ("POST", f"{KEYS}/{shown['id']}/revoke", None),
        ("PATCH", f"{MEMBERS}/1", {"role": "viewer"}), ("DELETE", f"{MEMBERS}/1", None),
        ("DELETE", f"{INVITATIONS}/1", None),
    ):  # fmt: skip
        for headers in (shop, editor):
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 403, (method, path, answer.text)
    listed = await client.get(KEYS, headers=admin)
    assert token not in listed.text
    assert "token" not in listed.text
    last_used = {row["name"]: row["last_used_at"] for row in listed.json()["items"]}
    assert last_used["shop"] == last_used["admin key"] == shown["created_at"]
    assert (await client.post(KEYS, json={"name": "shop"}, headers=admin)).status_code == 409
    revoked = await client.post(f"{KEYS}/{shown['id']}/revoke", headers=admin)
    assert revoked.json()["revoked_at"]
    assert (await client.get("/api/v1/contacts", headers=shop)).status_code == 401
    again = await client.post(f"{KEYS}/{shown['id']}/revoke", headers=admin)
    assert again.json() == revoked.json()
    async with rt.db.read(INSTANCE) as tx:
        stored = [
            *await tx.scalars(sa.select(col(ApiKey.token_hash))),
            *await tx.scalars(sa.select(AuditEntry)),
        ]
    assert token not in repr(stored)


async def test_keys_of_the_other_organisation_and_names_that_are_none(
    client: httpx.AsyncClient, rt: Runtime, other: Any, owner: Any, key: Any
) -> None:
    theirs = await key(other.scope, Role.OWNER)
    foreign = (await client.get(KEYS, headers=theirs)).json()["items"][0]["id"]
    assert foreign not in [row["id"] for row in (await client.get(KEYS, headers=owner)).json()["items"]]
    assert (await client.post(f"{KEYS}/{foreign}/revoke", headers=owner)).status_code == 404
    assert (await client.get(KEYS, headers=theirs)).status_code == 200
    for body in (
        {}, [], {"name": ""}, {"name": "   "}, {"name": "x" * 101}, {"name": "a@b"}, {"name": "a\x00"},
        {"name": None}, {"name": "x", "role": "root"}, {"name": "x", "role": ["owner"]},
        {"name": "x", "token": "mek_mine"}, {"name": "x", "tenant_id": 2},
    ):  # fmt: skip
        answer = await client.post(KEYS, json=body, headers=owner)
        assert answer.status_code == 400, (body, answer.text)


async def test_an_invitation_is_in_the_letter_alone(
    client: httpx.AsyncClient,
    rt: Runtime,
    acme: Any,
    other: Any,
    owner: Any,
    admin: Any,
    key: Any,
    post_office: None,
) -> None:
    theirs = await key(other.scope, Role.OWNER)
    refused = await client.post(INVITATIONS, json={"email": LETTER, "role": "owner"}, headers=admin)
    assert refused.status_code == 403
    made = await client.post(INVITATIONS, json={"email": LETTER, "role": "viewer"}, headers=admin)
    assert made.status_code == 201, made.text
    async with rt.db.read(INSTANCE) as tx:
        letter = (await tx.scalars(sa.select(Message).where(col(Message.email) == LETTER))).one()
        token_hash = await tx.scalar(sa.select(col(Invitation.token_hash)))
    token = letter.text.split("/invitations/")[1].split()[0]
    listed = await client.get(INVITATIONS, headers=owner)
    assert [(row["email"], row["role"], row["invited_by"][:4]) for row in listed.json()["items"]] == [
        (LETTER, "viewer", "key:")
    ]
    for text in (made.text, listed.text):
        assert token not in text
        assert str(token_hash) not in text
    assert (await client.get(INVITATIONS, headers=theirs)).json()["items"] == []
    one = f"{INVITATIONS}/{made.json()['id']}"
    assert (await client.delete(one, headers=theirs)).status_code == 404
    assert (await client.get(f"/invitations/{token}")).status_code == 200
    assert (await client.delete(one, headers=admin)).status_code == 204
    assert (await client.get(f"/invitations/{token}")).status_code == 404
    assert (await client.delete(one, headers=admin)).status_code == 404
    member = await client.post(INVITATIONS, json={"email": acme.email}, headers=admin)
    assert member.status_code == 409
    for body in (
        {},
        {"email": "nobody"},
        {"email": "a\x00@b.test"},
        {"email": LETTER, "role": "x"},
        {"email": 7},
    ):
        answer = await client.post(INVITATIONS, json=body, headers=admin)
        assert answer.status_code == 400, (body, answer.text)


async def test_one_address_gets_few_invitations(client: httpx.AsyncClient, owner: Any) -> None:
    statuses = []
    for _ in range(4):
        answer = await client.post(INVITATIONS, json={"email": LETTER}, headers=owner)
        statuses.append(answer.status_code)
    assert statuses == [422, 422, 422, 429], "this installation has nobody to write as yet"
    assert int(answer.headers["retry-after"]) > 0
    assert (await client.get(INVITATIONS, headers=owner)).json()["items"] == [], "each was withdrawn"


async def test_a_session_that_was_left_open_gives_no_rights_away(
    client: httpx.AsyncClient, rt: Runtime, acme: Any
) -> None:
    ned = await join(rt, acme, LETTER, Role.VIEWER)
    await log_in(client, acme.email)
    csrf = {"x-csrftoken": await token_on(client, "/account")}
    advance(rt, minutes=11)
    for method, path, body in (
        ("PATCH", f"{MEMBERS}/{ned}", {"role": "owner"}), ("DELETE", f"{MEMBERS}/{ned}", None),
        ("POST", KEYS, {"name": "x"}), ("POST", INVITATIONS, {"email": "x@example.org"}),
    ):  # fmt: skip
        refused = await client.request(method, path, json=body, headers=csrf)
        assert refused.status_code == 403, path
        assert "confirm that it is you" in refused.json()["detail"]
