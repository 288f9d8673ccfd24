"""Transactional mail: queued in the caller's transaction, ahead of campaigns, at least once, its bodies erased."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailengine.core.errors import InvalidInput, Refused
from mailengine.db.tenancy import owned, table_of
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.contacts.suppression import parse_target, suppress
from mailengine.domain.delivery import kill_switch, outcome
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.limits.limits import set_limit
from mailengine.domain.delivery.limits.rates import parse_rate
from mailengine.domain.delivery.transactional import OutgoingMessage, express, queue_message
from mailengine.domain.delivery.transactional.claim import claim
from mailengine.domain.delivery.transactional.messages import erase_failed, forget_old, requeue
from mailengine.domain.delivery.transactional.record import record
from mailengine.domain.delivery.transactional.recover import journals, recover
from mailengine.domain.delivery.transactional.senders import parse_sender, set_default_sender
from mailengine.models import Contact, LimitScope, Message, Relay
from peers.catcher import Catcher
from peers.scripted_smtp import ScriptedSmtp, envelope, opening, transaction
from peers.sink import CountingSink
from support.world import INSTANCE, World, a_world, running

pytestmark = pytest.mark.anyio

RESET = OutgoingMessage(
    to="ann@example.org",
    to_name="Ann Müller",
    subject="Your new password",
    text="Open https://example.org/reset/SECRET",
    html="<p>Open <a href='https://example.org/reset/SECRET'>this</a></p>",
    sender="Acme <noreply@example.org>",
)


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        yield made


async def _queue(world: World, **changes: Any) -> int:
    fields = {name: getattr(RESET, name) for name in RESET.__slots__} | changes
    async with world.db.write(world.scope) as tx:
        return await queue_message(tx, world.scope, OutgoingMessage(**fields), now=world.clock.now())


async def _other_tenant(world: World) -> World:
    """Another tenant of the same installation."""
    async with world.db.write(INSTANCE) as tx:
        made = await create_tenant(
            tx, INSTANCE, name="Other", country="DE", postal_address="Street 2", now=world.clock.now()
        )
    return replace(world, scope=scope_in(made, INSTANCE))


async def _messages(world: World) -> dict[int, Message]:
    async with world.db.read(world.scope) as tx:
        return {row.id or 0: row for row in await tx.scalars(owned(Message, world.scope))}


async def _until(world: World, wanted: Callable[[dict[int, Message]], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not wanted(await _messages(world)):
            await asyncio.sleep(0.02)


async def _sent(world: World) -> None:
    await _until(world, lambda rows: all(row.status == "sent" for row in rows.values()))


async def test_a_message_is_sent_and_its_bodies_are_erased(
    world: World, catcher: Catcher, capfd: pytest.CaptureFixture[str]
) -> None:
    await world.relay(catcher.port)
    await _queue(world)
    await _queue(world, html="", text="Only text", subject="Plain")
    async with running(world.worker()):
        await _sent(world)
    by_subject = {caught.message["Subject"]: caught for caught in catcher.caught}
    message = by_subject["Your new password"].message
    assert message["From"] == "Acme <noreply@example.org>"
    assert message["To"] == "Ann Müller <ann@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] is None
    html = message.get_body(("html",))
    assert html is not None
    assert "reset/SECRET'>" in html.get_content()
    plain = by_subject["Plain"].message
    assert (plain.get_content_type(), plain.get_content()) == ("text/plain", "Only text\r\n")
    assert by_subject["Plain"].sender.startswith("m-")
    assert [(row.text, row.html) for row in (await _messages(world)).values()] == [("", ""), ("", "")]
    assert list(journals(world.wire_folder).iterdir()) == []
    assert "SECRET" not in "".join(capfd.readouterr())


async def test_nothing_is_queued_when_the_callers_transaction_is_undone(world: World) -> None:
    async def fails_after_the_first() -> None:
        async with world.db.write(world.scope) as tx:
            await queue_message(tx, world.scope, RESET, now=world.clock.now())
            await queue_message(tx, world.scope, OutgoingMessage("no", "a", "b"), now=world.clock.now())

    with pytest.raises(InvalidInput):
        await fails_after_the_first()
    assert await _messages(world) == {}


async def test_an_idempotency_key_queues_once_a_tenant(world: World) -> None:
    first = await _queue(world, idempotency_key="order 7")
    assert await _queue(world, idempotency_key="order 7", subject="Other") == first
    assert await _queue(world) != await _queue(world)
    other = await _other_tenant(world)
    assert await _queue(other, idempotency_key="order 7") != first
    assert len(await _messages(other)) == 1
    assert len(await _messages(world)) == 3


async def test_what_cannot_be_sent_is_refused_at_once(world: World) -> None:
    wrong: list[dict[str, Any]] = [
        {"to": "nobody"},
        {"to": "ann@example.org\r\nBcc: all@example.org"},
        {"subject": " "},
        {"subject": "x" * 501},
        {"text": ""},
        {"text": "x" * 2_000_001},
        {"kind": "Not A Kind"},
        {"idempotency_key": ""},
        {"idempotency_key": "a\nb"},
        {"sender": "Acme\r\nBcc: x@example.org <noreply@example.org>"},
    ]
    for changes in wrong:
        with pytest.raises(InvalidInput):
            await _queue(world, **changes)
    assert await _messages(world) == {}


async def test_hostile_text_harms_neither_database_nor_headers(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    await _queue(
        world,
        subject="Hi\r\nBcc: x@example.org \x00\ud800",
        text="a\x00b\ud800\r\n.\r\nQUIT",
        to_name="\r\nX: y",
    )
    async with running(world.worker()):
        await _sent(world)
    (caught,) = catcher.caught
    assert caught.recipients == ["ann@example.org"]
    assert caught.message["Bcc"] is None
    assert caught.message["X"] is None


async def test_the_sender_is_the_tenants_unless_one_is_named(world: World) -> None:
    with pytest.raises(Refused, match="tenant sender"):
        await _queue(world, sender=None)
    async with world.db.write(world.scope) as tx:
        sender = parse_sender("Acme Desk <desk@example.net>")
        await set_default_sender(tx, world.scope, sender=sender, now=world.clock.now())
    sent = await _queue(world, sender=None)
    row = (await _messages(world))[sent]
    assert (row.from_name, row.from_email) == ("Acme Desk", "desk@example.net")


async def test_a_campaign_at_work_is_never_in_front(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=20)
    await world.people(2000)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=2)):
        await asyncio.to_thread(sink.wait_for, 20)
        await _queue(world)
        await _until(world, lambda rows: all(row.status == "sent" for row in rows.values()), seconds=5)
        assert (await world.totals(campaign)).sent < 1000


async def _limit(world: World, written: str, kind: LimitScope, target: str = "") -> None:
    async with world.db.write(world.scope) as tx:
        await set_limit(
            tx, world.scope, kind=kind, target=target, rate=parse_rate(written), now=world.clock.now()
        )


async def test_a_campaign_at_its_limit_has_left_something_for_a_message(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink()
    await world.people(40)
    await world.relay(sink.port)
    await _limit(world, "400/hour", LimitScope.TENANT)  # a bucket of 20, of which one is kept
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, waiting=21)
        await _queue(world)
        await _sent(world)
        assert (await world.totals(campaign)).sent == 19
    assert sink.accepted() == 20


async def test_a_message_has_the_next_place_of_a_limit(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink()
    await world.people(5)
    await world.relay(sink.port)
    await _limit(world, "20/hour", LimitScope.TENANT)  # one at a time
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, waiting=4)
        first = await _queue(world)
        world.clock.advance(timedelta(minutes=4))
        await _sent(world)
        assert (await world.totals(campaign)).sent == 1
        assert (await _messages(world))[first].attempts == 1
        world.clock.advance(timedelta(minutes=4))
        await world.settled(campaign, waiting=3)


async def test_a_message_whose_address_the_server_hangs_up_at_holds_up_no_campaign(
    world: World, catcher: Catcher
) -> None:
    await world.people(30)
    await world.relay(catcher.port)
    await _limit(
        world, "1000000/hour", LimitScope.TENANT
    )  # so that a campaign leaves the next place to a message
    catcher.replies["ann@example.org"] = "421 4.3.2 not that one"
    await _queue(world)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
        await _until(world, lambda rows: all(row.attempts == 1 for row in rows.values()))
    (message,) = (await _messages(world)).values()
    assert (message.status, "not that one" in message.last_reply) == ("queued", True)


async def test_a_relay_at_its_limit_holds_no_message_that_another_takes(
    world: World, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(express, "_LIMITED_SECONDS", 3600.0)
    await world.relay(catcher.port)
    await world.relay(catcher.port, name="second")
    async with world.db.read(world.scope) as tx:
        first, _second = sorted(row.id or 0 for row in await tx.scalars(owned(Relay, world.scope)))
    await _limit(world, "1/day", LimitScope.RELAY, str(first))
    async with running(world.worker()):
        for _ in range(4):
            await _queue(world)
            await _sent(world)


async def test_limits_of_providers_and_domains_hold_messages_too(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    await _limit(world, "20/hour", LimitScope.PROVIDER, "limited.example")
    ids = [await _queue(world, to=f"p{number}@limited.example") for number in range(2)]
    await _queue(world)
    async with running(world.worker()):
        await _until(world, lambda rows: sorted(row.status for row in rows.values())[1:] == ["sent", "sent"])
        rows = await _messages(world)
        (late,) = (each for each in ids if rows[each].status != "sent")
        assert "limited to 20/hour" in rows[late].last_reply
        world.clock.advance(timedelta(minutes=4))
        await _sent(world)


async def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(
    world: World, catcher: Catcher
) -> None:
    await world.people(1)
    await world.relay(catcher.port)
    catcher.replies = {
        "late@example.org": "451 4.7.1 greylisted",
        "u0@example.org": "550 5.1.1 no such user",
    }
    late = await _queue(world, to="late@example.org")
    dead = await _queue(world, to="u0@example.org")
    async with running(world.worker()):
        await _until(world, lambda rows: rows[late].attempts == 1 and rows[dead].status == "failed")
        catcher.replies.clear()
        assert (await _messages(world))[late].status == "queued"
        world.clock.advance(timedelta(minutes=5))
        await _until(world, lambda rows: rows[late].status == "sent")
    row = (await _messages(world))[dead]
    assert (row.cause, "no such user" in row.last_reply) == ("recipient", True)
    async with world.db.read(world.scope) as tx:
        contact = await tx.scalar(owned(Contact, world.scope))
    assert contact is not None
    assert contact.state == "bounced"


async def test_retries_end(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    catcher.replies["ann@example.org"] = "452 4.2.2 mailbox full"
    sent = await _queue(world)
    async with running(world.worker(retry_hours=1)):
        await _until(world, lambda rows: rows[sent].attempts == 1)
        world.clock.advance(timedelta(hours=2))
        await _until(world, lambda rows: rows[sent].status == "failed")
    row = (await _messages(world))[sent]
    assert (row.cause, row.attempts, row.text) == ("mailbox_full", 2, RESET.text)
    assert await _requeue_after(world, timedelta(days=6)) == 1


async def test_the_body_of_a_message_that_failed_is_erased_after_a_week(
    world: World, catcher: Catcher
) -> None:
    await world.relay(catcher.port)
    catcher.replies["ann@example.org"] = "550 5.7.1 not here"
    sent = await _queue(world)
    async with running(world.worker()):
        await _until(world, lambda rows: rows[sent].status == "failed")
    assert await _requeue_after(world, timedelta(days=8)) == 0
    row = (await _messages(world))[sent]
    assert (row.status, row.text, row.html) == ("failed", "", "")


async def test_messages_that_ended_are_forgotten_after_a_season(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    await _queue(world)
    async with running(world.worker()):
        await _sent(world)
    waiting = await _queue(world)

    async def forget_after(days: int) -> int:
        world.clock.advance(timedelta(days=days))
        async with world.db.write(INSTANCE) as tx:
            return await forget_old(tx, INSTANCE, now=world.clock.now())

    assert await forget_after(89) == 0
    assert await forget_after(2) == 1
    assert list(await _messages(world)) == [waiting]


async def _requeue_after(world: World, time: timedelta) -> int:
    """Let time pass, do the chore, and try everything that failed again."""
    world.clock.advance(time)
    now = world.clock.now()
    async with world.db.write(INSTANCE) as tx:
        await erase_failed(tx, INSTANCE, now=now)
    async with world.db.write(world.scope) as tx:
        return await requeue(tx, world.scope, ids=None, cause=None, now=now)


async def test_what_is_in_doubt_is_sent_again_under_the_same_message_id(world: World) -> None:
    lost = opening() + envelope("ann") + "DATA\nRESET\n"
    async with ScriptedSmtp(lost, opening() + transaction("ann") + "STALL\n") as server:
        await world.relay(server.port)
        sent = await _queue(world)
        async with running(world.worker()):
            await _until(world, lambda rows: rows[sent].attempts == 1)
            world.clock.advance(timedelta(minutes=5))
            await _sent(world)
    ids = [line for raw in server.messages for line in raw.split(b"\r\n") if line.startswith(b"Message-ID")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_who_gets_it_by_the_contacts_state(world: World, catcher: Catcher) -> None:
    goes = {
        ("unsubscribed", "system"): True,
        ("unsubscribed", "notice"): True,
        ("complained", "system"): True,
        ("complained", "notice"): False,
        ("bounced", "system"): False,
    }
    await world.addresses([f"{state}@example.org" for state in ("unsubscribed", "complained", "bounced")])
    await world.relay(catcher.port)
    contacts = table_of(Contact)
    async with world.db.write(world.scope) as tx:
        for state, _kind in goes:
            mine = sa.and_(
                contacts.c.tenant_id == world.scope.tenant_id, contacts.c.email == f"{state}@example.org"
            )
            await tx.execute(sa.update(contacts).where(mine).values(state=state))
    ids = {
        (state, kind): await _queue(world, to=f"{state.title()}@Example.org", kind=kind)
        for state, kind in goes
    }
    async with running(world.worker()):
        await _until(world, lambda rows: all(row.status in ("sent", "skipped") for row in rows.values()))
    rows = await _messages(world)
    assert {case: rows[each].status == "sent" for case, each in ids.items()} == goes


async def test_a_suppressed_address_gets_nothing(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    async with world.db.write(world.scope) as tx:
        await suppress(
            tx, world.scope, parse_target("ann@example.org"), reason="manual", now=world.clock.now()
        )
    sent = await _queue(world)
    async with running(world.worker()):
        await _until(world, lambda rows: rows[sent].status == "skipped")
    row = (await _messages(world))[sent]
    assert (row.text, row.last_reply) == ("", "the address is suppressed")


async def test_the_kill_switch_of_a_tenant_holds_its_messages(world: World, catcher: Catcher) -> None:
    other = await _other_tenant(world)
    for each in (world, other):
        await each.relay(catcher.port)
    now, held = world.clock.now(), world.scope.tenant_id
    async with world.db.write(INSTANCE) as tx:
        await kill_switch.set_on(tx, INSTANCE, tenant_id=held, reason="test", actor="test", now=now)
    sent = await _queue(world)
    await _queue(other)
    async with running(world.worker()):
        await _sent(other)
        assert (await _messages(world))[sent].status == "queued"
        async with world.db.write(INSTANCE) as tx:
            await kill_switch.set_off(tx, INSTANCE, tenant_id=held, actor="test", now=now)
        await _sent(world)
    assert len(catcher.caught) == 2


async def test_after_a_death_the_journal_decides(world: World) -> None:
    """Accepted is recorded; what was on the wire and what was not go back into the queue."""
    ids = [await _queue(world, to=f"p{number}@example.org") for number in range(3)]
    folder = journals(world.wire_folder)
    folder.mkdir(parents=True)
    wire = WireJournal(folder, "t", room=5)
    async with world.db.write(world.scope) as tx:
        now = world.clock.now()
        claimed = await claim(tx, world.scope, claim_token="t", owner=str(world.owner), limit=10, now=now)
    assert [message.id for message in claimed] == ids
    wire.fill(ids)
    wire.on_wire(0)
    wire.accepted(0, "250 2.0.0 queued as 1")
    wire.on_wire(1)
    wire.abandon()
    settled = await recover(
        world.db,
        INSTANCE,
        owner=world.owner,
        wire_folder=world.wire_folder,
        now=world.clock.now(),
        retry_for=timedelta(hours=48),
    )
    rows = await _messages(world)
    assert settled == 3
    assert [rows[each].status for each in ids] == ["sent", "queued", "queued"]
    assert [rows[each].attempts for each in ids] == [1, 1, 0]
    assert rows[ids[0]].text == ""
    assert list(folder.iterdir()) == []


async def test_another_machines_claim_is_taken_over_once_its_lease_is_over(world: World) -> None:
    sent = await _queue(world)
    async with world.db.write(world.scope) as tx:
        taken = await claim(
            tx, world.scope, claim_token="t", owner="gone:boot", limit=1, now=world.clock.now()
        )

    async def settle() -> int:
        return await recover(
            world.db,
            INSTANCE,
            owner=world.owner,
            wire_folder=world.wire_folder,
            now=world.clock.now(),
            retry_for=timedelta(hours=48),
        )

    assert await settle() == 0
    world.clock.advance(timedelta(minutes=11))
    assert await settle() == 1
    assert (await _messages(world))[sent].status == "queued"
    late = outcome.sent(taken[0], "250 said the machine that was given up")
    async with world.db.write(world.scope) as tx:
        now = world.clock.now()
        assert await record(tx, world.scope, claim_token="t", outcomes=[late], now=now) == 0
    assert (await _messages(world))[sent].status == "queued"
