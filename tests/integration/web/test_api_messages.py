"""Transactional messages over the API: queued once, never shown again, whose they are, and what cannot be sent."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.models import Message, MessageStatus, Role
from mailengine.runtime import Runtime
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
MESSAGES, SENDER = "/api/v1/messages", "/api/v1/default-sender"
SECRET = "your code is 7f3a"
ORDER = {"to": "Ann@Acme.test", "subject": "Your order", "text": SECRET, "sender": "Acme <desk@acme.test>"}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
async def api(client: httpx.AsyncClient, acme: Any, key: Any) -> httpx.AsyncClient:
    """A client with an editor's key of `acme`."""
    client.headers.update(await key(acme.scope, Role.EDITOR))
    return client


async def stored(rt: Runtime) -> list[Message]:
    async with rt.db.read(INSTANCE) as tx:
        return list(await tx.scalars(sa.select(Message).order_by(col(Message.id))))


async def test_a_message_is_queued_once_and_its_words_stay_inside(
    api: httpx.AsyncClient, rt: Runtime
) -> None:
    keyed = ORDER | {"idempotency_key": "order-4711", "kind": "receipt", "to_name": "Ann"}
    made = await api.post(MESSAGES, json=keyed)
    assert made.status_code == 202, made.text
    message = made.json()
    assert (message["email"], message["from_email"], message["kind"], message["status"]) == (
        "Ann@acme.test", "desk@acme.test", "receipt", "queued"
    )  # fmt: skip
    again = await api.post(MESSAGES, json=keyed | {"subject": "Another"})
    assert (again.status_code, again.json()) == (202, message)
    [row] = await stored(rt)
    assert (row.text, row.from_name, row.to_name) == (SECRET, "Acme", "Ann")
    for answer in (made, await api.get(f"{MESSAGES}/{message['id']}"), await api.get(MESSAGES)):
        assert SECRET not in answer.text
        assert "html" not in answer.text


async def test_the_text_is_made_from_the_html(api: httpx.AsyncClient, rt: Runtime) -> None:
    html = "<p>It is <b>on its way</b>.</p>"
    body = {name: value for name, value in ORDER.items() if name != "text"} | {"html": html}
    assert (await api.post(MESSAGES, json=body)).status_code == 202
    [row] = await stored(rt)
    assert ("It is on its way." in row.text.replace("*", ""), row.html) == (True, html)


async def test_messages_are_listed_by_status_and_kind_and_tried_again(
    api: httpx.AsyncClient, rt: Runtime
) -> None:
    ids = [
        (await api.post(MESSAGES, json=ORDER | {"kind": kind})).json()["id"]
        for kind in ("notice", "receipt", "notice")
    ]

    async def listed(**filters: Any) -> list[int]:
        return [row["id"] for row in (await api.get(MESSAGES, params=filters)).json()["items"]]

    first = (await api.get(MESSAGES, params={"limit": 2})).json()
    assert ([row["id"] for row in first["items"]], first["total"]) == ([ids[2], ids[1]], 3)
    assert await listed(limit=2, cursor=first["next"]) == [ids[0]]
    assert await listed(kind="notice") == [ids[2], ids[0]]
    async with rt.db.write(INSTANCE) as tx:
        given_up = {"status": MessageStatus.FAILED, "cause": "auth", "finished_at": rt.clock.now()}
        await tx.execute(sa.update(Message).where(col(Message.id) != ids[2]).values(**given_up))
    assert await listed(status="failed") == [ids[1], ids[0]]
    for body, number in (({"ids": [ids[2]]}, 0), ({"ids": ids, "cause": "other"}, 0), ({"cause": "auth"}, 2)):
        answer = await api.post(f"{MESSAGES}/requeue", json=body)
        assert answer.json() == {"requeued": number}, (body, answer.text)
    assert await listed(status="queued") == ids[::-1]


WRONG: tuple[Any, ...] = (
    {}, [], ORDER | {"to": "nobody"}, ORDER | {"to": "a@b.test\r\nBcc: c@d.test"}, ORDER | {"subject": " "},
    ORDER | {"subject": "x" * 501}, ORDER | {"text": " "}, ORDER | {"text": "", "html": ""},
    ORDER | {"text": "", "html": "<p> </p>"}, ORDER | {"kind": "No Kind"}, ORDER | {"idempotency_key": ""},
    ORDER | {"idempotency_key": "a\nb"}, ORDER | {"sender": "nobody"}, ORDER | {"to_name": "a\x00b"},
    ORDER | {"text": "x" * 1_000_001}, ORDER | {"attachments": []},
)  # fmt: skip


async def test_what_cannot_be_sent_is_not_queued(api: httpx.AsyncClient, rt: Runtime) -> None:
    for body in WRONG:
        answer = await api.post(MESSAGES, json=body)
        assert answer.status_code == 400, (body, answer.text)
    for body in ({}, {"all": True, "cause": "auth"}, {"ids": []}, {"ids": [0]}):
        assert (await api.post(f"{MESSAGES}/requeue", json=body)).status_code == 400, body
    for query in ("status=lost", "kind=X", "limit=0", "cursor=%00"):
        assert (await api.get(f"{MESSAGES}?{query}")).status_code == 400, query
    unsaid = await api.post(MESSAGES, json=ORDER | {"sender": None})
    assert unsaid.status_code == 422, "nobody to send as"
    assert await stored(rt) == []


async def test_the_default_sender_is_the_admins(
    api: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    admin, theirs = await key(acme.scope, Role.ADMIN), await key(other.scope, Role.ADMIN)
    desk = {"mailbox": "Acme <desk@acme.test>"}
    assert (await api.get(SENDER)).status_code == 422
    for method, body in (("PUT", desk), ("DELETE", None)):
        assert (await api.request(method, SENDER, json=body)).status_code == 403, method
    for wrong in ({}, {"mailbox": "nobody"}, {"mailbox": "A\r\nB <a@b.test>"}):
        assert (await api.put(SENDER, json=wrong, headers=admin)).status_code == 400, wrong
    found = {"name": "Acme", "address": "desk@acme.test"}
    assert (await api.put(SENDER, json=desk, headers=admin)).json() == found
    assert (await api.get(SENDER)).json() == found
    assert (await api.get(SENDER, headers=theirs)).status_code == 422
    assert (await api.delete(SENDER, headers=theirs)).status_code == 204
    sent = await api.post(MESSAGES, json=ORDER | {"sender": None})
    assert sent.json()["from_email"] == "desk@acme.test"
    assert (await api.delete(SENDER, headers=admin)).status_code == 204
    assert (await api.get(SENDER)).status_code == 422


async def test_a_viewer_sends_nothing_and_another_organisation_sees_nothing(
    api: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    viewer, theirs = await key(acme.scope, Role.VIEWER), await key(other.scope, Role.OWNER)
    keyed = ORDER | {"idempotency_key": "order"}
    mine = (await api.post(MESSAGES, json=keyed)).json()
    for path, body in ((MESSAGES, ORDER), (f"{MESSAGES}/requeue", {"all": True})):
        assert (await api.post(path, json=body, headers=viewer)).status_code == 403
    assert (await api.get(f"{MESSAGES}/{mine['id']}", headers=viewer)).json() == mine
    assert (await api.get(f"{MESSAGES}/{mine['id']}", headers=theirs)).status_code == 404
    assert (await api.get(MESSAGES, headers=theirs)).json()["items"] == []
    same_key = await api.post(MESSAGES, json=keyed, headers=theirs)
    assert (same_key.status_code, same_key.json()["id"] != mine["id"]) == (202, True)
    await api.post(f"{MESSAGES}/requeue", json={"all": True}, headers=theirs)
    assert [row.tenant_id for row in await stored(rt)] == [acme.scope.tenant_id, other.scope.tenant_id]
