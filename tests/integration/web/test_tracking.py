"""The pixel and the click as mail programs, scanners and attackers ask for them."""

import base64
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.domain.tracking.intake import Hit, HitBuffer, flush
from mailengine.domain.tracking.targets import redirect_target
from mailengine.domain.tracking.tokens import Purpose, Recipient, TokenSigner
from mailengine.models import EmailEvent, EventKind
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")


async def events(rt: Runtime) -> list[EmailEvent]:
    async with rt.db.read(INSTANCE) as tx:
        return list(await tx.scalars(sa.select(EmailEvent).order_by(col(EmailEvent.id))))


async def test_an_open_is_a_gif_that_nothing_keeps(client: Any, rt: Runtime, acme: Any, hits: HitBuffer):
    answer = await client.get(
        f"/o/{acme.token(rt, Purpose.TRACK)}.gif", headers={"User-Agent": "Mail\x01" + "x" * 999}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/gif"
    assert answer.content.startswith(b"GIF89a")
    assert len(answer.content) == 42
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert await flush(rt.db, INSTANCE, hits) == 1
    (event,) = await events(rt)
    assert (event.kind, event.task_id, event.campaign_id) == ("open", acme.task_id, acme.campaign_id)
    assert (event.contact_id, event.tenant_id) == (acme.contact_id, acme.scope.tenant_id)
    assert event.user_agent.startswith("Mailx")
    assert len(event.user_agent) == 300
    assert event.at == rt.clock.now()


async def test_a_click_leads_to_the_snapshots_link(client: Any, rt: Runtime, acme: Any, hits: HitBuffer):
    token = acme.token(rt, Purpose.TRACK)
    answer = await client.get(f"/c/{token}/0", follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://example.org/spring?a=1&b=2"
    assert answer.headers["referrer-policy"] == "no-referrer"
    second = await client.get(f"/c/{token}/1", follow_redirects=False)
    assert second.headers["location"] == "http://example.org/%C3%BC"
    await flush(rt.db, INSTANCE, hits)
    assert [(event.kind, event.link) for event in await events(rt)] == [("click", 0), ("click", 1)]


async def test_head_is_answered_and_not_counted(client: Any, rt: Runtime, acme: Any, hits: HitBuffer):
    token = acme.token(rt, Purpose.TRACK)
    pixel = await client.head(f"/o/{token}.gif")
    click = await client.head(f"/c/{token}/0", follow_redirects=False)
    assert (pixel.status_code, click.status_code) == (200, 302)
    assert click.headers["location"].startswith("https://example.org/")
    assert len(hits) == 0


async def test_no_redirect_but_to_a_link_of_the_message(client: Any, rt: Runtime, acme: Any, hits: HitBuffer):
    token = acme.token(rt, Purpose.TRACK)
    for index in ("2", "3", "4", "99999", "-1", "1e3", "٣", "0x0", "0" * 12, "https:%2F%2Fevil.test"):
        answer = await client.get(f"/c/{token}/{index}", follow_redirects=False)
        assert answer.status_code == 404, index
        assert "location" not in answer.headers
    assert len(hits) == 0


async def test_forged_tokens_are_answered_404(client: Any, rt: Runtime, acme: Any, hits: HitBuffer):
    good = base64.b64decode(acme.token(rt, Purpose.TRACK) + "==", altchars=b"-_")
    forged = [acme.token(rt, Purpose.MANAGE), "", "x", "A" * 30, "A" * 3000, "%00" * 30, "ü" * 30]
    for bit in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        forged.append(base64.urlsafe_b64encode(bytes(flipped)).decode().rstrip("="))
    for token in forged:
        assert (await client.get(f"/o/{token}.gif")).status_code == 404, token
        assert (await client.get(f"/c/{token}/0", follow_redirects=False)).status_code == 404, token
    assert len(hits) == 0


async def test_a_token_of_a_task_that_is_gone_leads_nowhere(
    client: Any, rt: Runtime, acme: Any, hits: HitBuffer
):
    token = TokenSigner(rt.keyring).sign(10**6, acme.scope.tenant_id, Purpose.TRACK)
    assert (await client.get(f"/c/{token}/0", follow_redirects=False)).status_code == 404
    assert (await client.get(f"/o/{token}.gif")).status_code == 200
    await flush(rt.db, INSTANCE, hits)
    assert await events(rt) == []


async def test_a_task_id_of_another_tenant_is_not_written(rt: Runtime, acme: Any, other: Any):
    buffer = HitBuffer()
    buffer.add(Hit("u1", Recipient(other.task_id, acme.scope.tenant_id), EventKind.OPEN, rt.clock.now()))
    await flush(rt.db, INSTANCE, buffer)
    assert await events(rt) == []
    assert len(buffer) == 0


async def test_a_batch_written_twice_counts_once(rt: Runtime, acme: Any):
    buffer = HitBuffer()
    for _ in range(2):
        for number in range(2500):
            buffer.add(
                Hit(
                    f"u{number}",
                    Recipient(acme.task_id, acme.scope.tenant_id),
                    EventKind.OPEN,
                    rt.clock.now(),
                )
            )
        assert await flush(rt.db, INSTANCE, buffer) == 2500
    assert len(await events(rt)) == 2500


async def test_a_full_buffer_drops_and_counts_and_a_click_still_redirects(
    client: Any, rt: Runtime, acme: Any, hits: HitBuffer
):
    token = acme.token(rt, Purpose.TRACK)
    for _ in range(100):
        await client.get(f"/o/{token}.gif")
    click = await client.get(f"/c/{token}/0", follow_redirects=False)
    assert click.status_code == 302
    assert (len(hits), hits.accepted, hits.dropped) == (100, 100, 1)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org/a b", "https://example.org/a%20b"),
        ("https://example.org/%C3%BC?q=a%26b#c", "https://example.org/%C3%BC?q=a%26b#c"),
        ("HTTPS://example.org/", "HTTPS://example.org/"),
        ("https://example.org/\r\nSet-Cookie: a=b", "https://example.org/%0D%0ASet-Cookie:%20a=b"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//evil.test/", None),
        ("/path", None),
        ("https:evil", None),
        ("https://[bad/", None),
        ("", None),
    ],
)
async def test_redirect_targets(url: str, target: str | None):
    assert redirect_target(url) == target
