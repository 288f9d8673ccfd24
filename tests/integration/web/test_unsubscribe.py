"""Leaving by the link in a message, as people, mail programs, scanners and attackers do it."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.domain.tracking.tokens import Purpose, TokenSigner
from mailengine.models import Contact, EmailEvent
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")


async def state_of(rt: Runtime, sent: Any) -> str:
    async with rt.db.read(INSTANCE) as tx:
        return str(await tx.scalar(sa.select(col(Contact.state)).where(col(Contact.id) == sent.contact_id)))


async def kinds(rt: Runtime) -> list[str]:
    async with rt.db.read(INSTANCE) as tx:
        return list(await tx.scalars(sa.select(col(EmailEvent.kind)).order_by(col(EmailEvent.id))))


async def test_get_asks_and_changes_nothing(client: Any, rt: Runtime, acme: Any):
    page = await client.get(f"/u/{acme.token(rt, Purpose.MANAGE)}")
    assert page.status_code == 200
    assert "Unsubscribe?" in page.text
    assert "ann@acme.test" in page.text
    assert "acme &amp; &lt;Co&gt;" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert await state_of(rt, acme) == "subscribed"
    assert (await client.head(f"/u/{acme.token(rt, Purpose.MANAGE)}")).status_code in (200, 405)
    assert await kinds(rt) == []


async def test_a_person_leaves_and_comes_back(client: Any, rt: Runtime, acme: Any, other: Any):
    url = f"/u/{acme.token(rt, Purpose.MANAGE)}"
    page = await client.post(url)
    assert (page.status_code, "You are unsubscribed" in page.text) == (200, True)
    assert f'action="{url}/resubscribe"' in page.text
    assert "set-cookie" not in page.headers
    assert await state_of(rt, acme) == "unsubscribed"
    assert await state_of(rt, other) == "subscribed"
    again = await client.post(url)
    assert again.status_code == 200
    back = await client.post(f"{url}/resubscribe")
    assert (back.status_code, "Welcome back" in back.text) == (200, True)
    assert await state_of(rt, acme) == "subscribed"
    assert await kinds(rt) == ["unsubscribe", "resubscribe"]


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
async def test_one_click_is_answered_in_plain_text(client: Any, rt: Runtime, acme: Any, encoding: str):
    field = {"List-Unsubscribe": "One-Click"}
    body = (
        {"data": field} if encoding == "urlencoded" else {"files": {"List-Unsubscribe": (None, "One-Click")}}
    )
    answer = await client.post(f"/u/{acme.token(rt, Purpose.MANAGE)}", **body)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert await state_of(rt, acme) == "unsubscribed"
    assert await kinds(rt) == ["unsubscribe"]


async def test_a_body_that_makes_no_sense_unsubscribes_all_the_same(client: Any, rt: Runtime, acme: Any):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"/u/{acme.token(rt, Purpose.MANAGE)}"
    for content in (b"", b"\xff\xfe", b"a=b&" * 100, b"--x\r\nbroken"):
        assert (await client.post(url, content=content, headers=headers)).status_code == 200
        assert await state_of(rt, acme) == "unsubscribed"
        await client.post(f"{url}/resubscribe")


async def test_a_huge_body_is_refused(client: Any, rt: Runtime, acme: Any):
    answer = await client.post(f"/u/{acme.token(rt, Purpose.MANAGE)}", content=b"x" * 20_000)
    assert answer.status_code == 413
    assert await state_of(rt, acme) == "subscribed"


async def test_only_a_manage_token_of_this_installation_works(client: Any, rt: Runtime, acme: Any):
    good = acme.token(rt, Purpose.MANAGE)
    flipped = good[:10] + ("A" if good[10] != "A" else "B") + good[11:]
    for token in (acme.token(rt, Purpose.TRACK), flipped, good[:-1], good + "A", "x"):
        for method, path in (("GET", ""), ("POST", ""), ("POST", "/resubscribe")):
            answer = await client.request(method, f"/u/{token}{path}")
            assert answer.status_code == 404, (method, path, token)
            assert "acme" not in answer.text
        assert (await client.get(f"/v/{token}")).status_code == 404
    assert await state_of(rt, acme) == "subscribed"


async def test_a_deleted_contact_can_still_leave(client: Any, rt: Runtime, acme: Any):
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Contact).values(deleted_at=rt.clock.now()))
    answer = await client.post(f"/u/{acme.token(rt, Purpose.MANAGE)}")
    assert answer.status_code == 200
    assert await state_of(rt, acme) == "unsubscribed"


async def test_view_online_is_the_message_in_a_sandbox(client: Any, rt: Runtime, acme: Any):
    token = acme.token(rt, Purpose.MANAGE)
    page = await client.get(f"/v/{token}", headers={"Host": "evil.test"})
    assert page.status_code == 200
    assert "Hello Ann &lt;b&gt;" in page.text
    assert f"http://127.0.0.1:8025/u/{token}" in page.text
    assert "evil.test" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src * data:;")
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_the_other_tenants_message_is_not_reached_by_a_mixed_token(
    client: Any, rt: Runtime, acme: Any, other: Any
):
    mixed = TokenSigner(rt.keyring).sign(other.task_id, acme.scope.tenant_id, Purpose.MANAGE)
    assert (await client.get(f"/u/{mixed}")).status_code == 404
    assert (await client.post(f"/u/{mixed}")).status_code == 404
    assert (await client.get(f"/v/{mixed}")).status_code == 404
    assert await state_of(rt, other) == "subscribed"
