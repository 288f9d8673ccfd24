"""The kill switch, messages in doubt and dead letters over the API; who may, whose they are, hostile bodies."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.domain.delivery import kill_switch
from mailengine.models import AuditEntry, DeadLetter, EmailTask, Role, TaskStatus
from mailengine.runtime import Runtime
from support.browsing import advance, log_in, token_on
from support.failures import fail_message
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
SWITCH, DOUBTS, LETTERS = "/api/v1/kill-switch", "/api/v1/doubts", "/api/v1/dead-letters"
OFF = {"stopped": False, "tenant": None, "installation": None}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
async def mine(acme: Any, key: Any) -> Any:
    return await key(acme.scope, Role.EDITOR)


@pytest.fixture
async def theirs(other: Any, key: Any) -> Any:
    return await key(other.scope, Role.OWNER)


async def held(rt: Runtime) -> set[int]:
    """The tenants whose switch is on, as a worker sees it."""
    async with rt.db.read(INSTANCE) as tx:
        return set((await kill_switch.state(tx, INSTANCE)).tenants)


async def status_of(rt: Runtime, task_id: int) -> str:
    async with rt.db.read(INSTANCE) as tx:
        return str(await tx.scalar(sa.select(col(EmailTask.status)).where(col(EmailTask.id) == task_id)))


async def test_an_organisation_stops_itself_and_nobody_else(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, mine: Any, theirs: Any
) -> None:
    assert (await client.get(SWITCH, headers=mine)).json() == OFF
    stopped = await client.put(SWITCH, json={"reason": " wrong <list> "}, headers=mine)
    assert stopped.status_code == 200, stopped.text
    switch = stopped.json()["tenant"]
    assert (switch["reason"], switch["set_by"][:4], stopped.json()["stopped"]) == (
        "wrong <list>",
        "key:",
        True,
    )
    assert await held(rt) == {acme.scope.tenant_id}
    assert (await client.get(SWITCH, headers=theirs)).json() == OFF
    assert (await client.delete(SWITCH, headers=theirs)).json() == OFF
    assert await held(rt) == {acme.scope.tenant_id}
    advance(rt, hours=1)
    again = (await client.put(SWITCH, json={"reason": "still"}, headers=mine)).json()["tenant"]
    assert (again["reason"], again["set_at"]) == ("still", switch["set_at"])
    for _ in range(2):
        assert (await client.delete(SWITCH, headers=mine)).json() == OFF
    assert await held(rt) == set()
    async with rt.db.read(acme.scope) as tx:
        of_switch = col(AuditEntry.resource) == "kill_switch"
        entries = list(await tx.scalars(sa.select(AuditEntry).where(
            col(AuditEntry.tenant_id) == acme.scope.tenant_id, of_switch)))  # fmt: skip
    assert [(row.action, row.address) for row in entries] == [
        ("kill-switch.on", "192.0.2.7"), ("kill-switch.on", "192.0.2.7"), ("kill-switch.off", "192.0.2.7"),
    ]  # fmt: skip


async def test_the_installations_switch_is_seen_and_not_touched(
    client: httpx.AsyncClient, rt: Runtime, mine: Any
) -> None:
    async with rt.db.write(INSTANCE) as tx:
        await kill_switch.set_on(
            tx, INSTANCE, tenant_id=None, reason="moving", actor="cli", now=rt.clock.now()
        )
    state = (await client.delete(SWITCH, headers=mine)).json()
    assert (state["stopped"], state["tenant"]) == (True, None)
    assert (state["installation"]["reason"], state["installation"]["set_by"]) == ("moving", "cli")


async def test_a_session_that_was_left_open_stops_nothing(
    client: httpx.AsyncClient, rt: Runtime, acme: Any
) -> None:
    await log_in(client, acme.email)
    csrf = {"x-csrftoken": await token_on(client, "/account")}
    assert (await client.put(SWITCH, json={}, headers=csrf)).json()["stopped"]
    advance(rt, minutes=11)
    refused = await client.delete(SWITCH, headers=csrf)
    assert refused.status_code == 403
    assert "confirm that it is you" in refused.json()["detail"]
    assert await held(rt) == {acme.scope.tenant_id}


async def test_messages_in_doubt_are_settled_or_sent_again(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, mine: Any, theirs: Any
) -> None:
    body = {"ids": [acme.task_id]}
    assert (await client.post(f"{DOUBTS}/resend", json=body, headers=mine)).status_code == 404, (
        "sent long ago"
    )
    await fail_message(rt, acme, TaskStatus.DOUBT)
    listed = (await client.get(DOUBTS, headers=mine)).json()
    assert [(row["id"], row["email"], row["campaign_id"]) for row in listed["items"]] == [
        (acme.task_id, "ann@acme.test", acme.campaign_id)
    ]
    assert (await client.get(DOUBTS, params={"campaign_id": 999}, headers=mine)).json()["total"] == 0
    assert (await client.get(DOUBTS, headers=theirs)).json()["items"] == []
    for path in ("settle", "resend"):
        given = body | ({"verdict": "failed"} if path == "settle" else {})
        assert (await client.post(f"{DOUBTS}/{path}", json=given, headers=theirs)).status_code == 404
    assert await status_of(rt, acme.task_id) == TaskStatus.DOUBT
    sent = await client.post(f"{DOUBTS}/resend", json=body, headers=mine)
    assert sent.json() == {"changed": 1}, sent.text
    assert await status_of(rt, acme.task_id) == TaskStatus.QUEUED
    assert (await client.post(f"{DOUBTS}/resend", json=body, headers=mine)).status_code == 404, "only once"
    await fail_message(rt, other, TaskStatus.DOUBT)
    lost = {"ids": [other.task_id], "verdict": "failed"}
    assert (await client.post(f"{DOUBTS}/settle", json=lost, headers=theirs)).json() == {"changed": 1}
    letters = (await client.get(LETTERS, params={"cause": "doubt"}, headers=theirs)).json()
    assert [row["contact_id"] for row in letters["items"]] == [other.contact_id]


async def test_a_settled_doubt_counts_as_sent(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, mine: Any
) -> None:
    await fail_message(rt, acme, TaskStatus.DOUBT)
    body = {"ids": [acme.task_id], "verdict": "sent"}
    assert (await client.post(f"{DOUBTS}/settle", json=body, headers=mine)).json() == {"changed": 1}
    assert await status_of(rt, acme.task_id) == TaskStatus.SENT
    report = (await client.get(f"/api/v1/campaigns/{acme.campaign_id}/report", headers=mine)).json()
    assert (report["sent"], report["doubt"]) == (1, 0)


async def test_dead_letters_are_found_and_tried_again(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, mine: Any, theirs: Any
) -> None:
    await fail_message(rt, acme, TaskStatus.FAILED)
    for wanted, total in (
        ({}, 1), ({"cause": "content"}, 1), ({"cause": "recipient"}, 0), ({"campaign_id": acme.campaign_id}, 1),
        ({"campaign_id": 999}, 0), ({"search": "SPAM"}, 1), ({"search": "%"}, 0),
    ):  # fmt: skip
        found = (await client.get(LETTERS, params=wanted, headers=mine)).json()
        assert found["total"] == total, wanted
    assert (await client.get(LETTERS, headers=theirs)).json()["total"] == 0
    letter = (await client.get(LETTERS, headers=mine)).json()["items"][0]
    one = f"{LETTERS}/{letter['id']}"
    assert (await client.get(one, headers=mine)).json() == letter
    assert (letter["reply"], letter["cause"], letter["email"]) == ("554 <spam>", "content", acme.email)
    assert (await client.get(one, headers=theirs)).status_code == 404
    for body in ({"ids": [letter["id"]]}, {"all": True}, {"cause": "content"}):
        answer = await client.post(f"{LETTERS}/requeue", json=body, headers=theirs)
        assert answer.json() == {"requeued": 0, "kept": 0}
    assert await status_of(rt, acme.task_id) == TaskStatus.FAILED
    missed = await client.post(f"{LETTERS}/requeue", json={"all": False, "cause": "recipient"}, headers=mine)
    assert missed.json() == {"requeued": 0, "kept": 0}
    by_cause = {"cause": "content", "campaign_id": acme.campaign_id}
    again = await client.post(f"{LETTERS}/requeue", json=by_cause, headers=mine)
    assert again.json() == {"requeued": 1, "kept": 0}, again.text
    assert await status_of(rt, acme.task_id) == TaskStatus.QUEUED


HOSTILE: tuple[Any, ...] = (
    {}, [], "x", {"ids": []}, {"ids": [0]}, {"ids": [-1]}, {"ids": [2**63]}, {"ids": ["x"]},
    {"ids": None, "all": False},
    {"ids": [1] * 1001}, {"ids": [1], "more": 1}, {"all": "yes"}, {"all": True, "ids": [1]}, {"cause": "a\x00"},
    {"cause": ""}, {"verdict": "sent"}, {"ids": [1], "verdict": "perhaps"},
)  # fmt: skip


async def test_bodies_that_are_none_and_roles_that_may_not(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, key: Any, mine: Any
) -> None:
    await fail_message(rt, acme, TaskStatus.FAILED)
    viewer = await key(acme.scope, Role.VIEWER)
    for path in (f"{LETTERS}/requeue", f"{DOUBTS}/settle", f"{DOUBTS}/resend"):
        assert (await client.post(path, json={"ids": [1]})).status_code == 401
        assert (
            await client.post(path, json={"ids": [1], "verdict": "failed"}, headers=viewer)
        ).status_code == 403
        for body in HOSTILE:
            answer = await client.post(path, json=body, headers=mine)
            assert answer.status_code in (400, 404), (path, body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    for body in ({"reason": "x" * 301}, {"reason": None}, {"reason": "a\x00"}, {"by": "me"}, []):
        assert (await client.put(SWITCH, json=body, headers=mine)).status_code == 400, body
    assert (await client.put(SWITCH, json={}, headers=viewer)).status_code == 403
    assert (await client.delete(SWITCH, headers=viewer)).status_code == 403
    assert await held(rt) == set()
    for path in (SWITCH, DOUBTS, LETTERS):
        assert (await client.get(path, headers=viewer)).status_code == 200
    async with rt.db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(DeadLetter)) == 1
