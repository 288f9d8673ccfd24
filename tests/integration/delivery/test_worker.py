"""The send loop on both databases, against real SMTP servers: each task ends once, and rightly."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.db.tenancy import table_of
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.campaigns.control import cancel, pause, resume
from mailengine.domain.campaigns.finish import finished, skip_page
from mailengine.domain.contacts.attributes import register
from mailengine.domain.contacts.suppression import parse_target, suppress
from mailengine.domain.delivery import kill_switch
from mailengine.models import Contact, EmailTask, ListMember
from peers.catcher import Catcher
from peers.ports import free_port
from peers.sink import CountingSink
from support.world import HTML, INSTANCE, World, a_world, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        yield made


async def test_everyone_gets_one_message(world: World, counting_sink: Callable[..., CountingSink]) -> None:
    sink = counting_sink()
    emails = await world.people(700)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    assert sink.received() == dict.fromkeys(emails, 1)
    assert (await world.totals(campaign)).sent == 700
    assert all(task.external_msg_id for task in (await world.tasks()).values())
    assert list(world.wire_folder.iterdir()) == []
    async with world.db.read(INSTANCE) as tx:
        assert await finished(tx, INSTANCE) == [(world.scope.tenant_id, campaign)]


async def test_a_refused_address_becomes_a_dead_letter_and_marks_its_contact(
    world: World, catcher: Catcher
) -> None:
    await world.people(3)
    await world.relay(catcher.port)
    catcher.replies["u1@example.org"] = "550 5.1.1 <u1@example.org>: no such user here"
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    (letter,) = await world.dead_letters()
    assert (letter.email, letter.code, letter.enhanced) == ("u1@example.org", 550, "5.1.1")
    assert "no such user here" in letter.reply
    async with world.db.read(world.scope) as tx:
        contact = await tx.get(Contact, letter.contact_id)
    assert contact is not None
    assert contact.state == "bounced"
    assert (await world.totals(campaign)).sent == 2


async def test_a_deferred_message_waits_and_is_tried_again(world: World, catcher: Catcher) -> None:
    await world.people(2)
    await world.relay(catcher.port)
    catcher.replies["u1@example.org"] = "450 4.2.0 greylisted, try again later"
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, waiting=1)
        await _until(world, lambda tasks: tasks["u1@example.org"].attempts == 1)
        waiting = (await world.tasks())["u1@example.org"]
        assert (waiting.status, "greylisted" in waiting.last_reply) == ("queued", True)
        assert waiting.scheduled_at > world.clock.now()
        del catcher.replies["u1@example.org"]
        world.clock.advance(timedelta(minutes=10))
        await world.settled(campaign)
    assert (await world.tasks())["u1@example.org"].attempts == 2
    assert len(catcher.messages_for("u1@example.org")) == 1


@pytest.mark.parametrize("connections", [1, 10])
async def test_an_address_at_which_the_server_hangs_up_holds_up_nobody(
    world: World, catcher: Catcher, connections: int
) -> None:
    """It comes first in every session, until it is left for later."""
    await world.people(30)
    await world.relay(catcher.port)
    catcher.replies["u0@example.org"] = "421 4.3.2 not that one"
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=connections)):
        await world.settled(campaign, waiting=1)
        waiting = (await world.tasks())["u0@example.org"]
        assert (waiting.status, waiting.attempts) == ("queued", 1)
        assert "not that one" in waiting.last_reply
        assert waiting.scheduled_at > world.clock.now()
        world.clock.advance(timedelta(hours=49))
        await world.settled(campaign)
    (letter,) = await world.dead_letters()
    assert (letter.email, letter.cause) == ("u0@example.org", "network")


async def test_retries_end_in_a_dead_letter(world: World, catcher: Catcher) -> None:
    await world.people(1)
    await world.relay(catcher.port)
    catcher.replies["u0@example.org"] = "452 4.2.2 mailbox full"
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(retry_hours=1)):
        await _until(world, lambda tasks: tasks["u0@example.org"].attempts == 1)
        world.clock.advance(timedelta(hours=2))
        await world.settled(campaign)
    (letter,) = await world.dead_letters()
    assert (letter.cause, letter.attempts) == ("mailbox_full", 2)


async def test_who_left_after_the_launch_is_not_written_to(world: World, catcher: Catcher) -> None:
    await world.people(6)
    await world.relay(catcher.port)
    campaign = await world.draft()
    await world.launch(campaign)
    contacts, members = table_of(Contact), table_of(ListMember)
    async with world.db.write(world.scope) as tx:
        ids = {task.email: task.contact_id for task in (await world.tasks()).values()}
        for email, values in {
            "u0@example.org": {"state": "unsubscribed"},
            "u1@example.org": {"deleted_at": world.clock.now()},
        }.items():
            await tx.execute(sa.update(contacts).where(_own(world, contacts, email)).values(**values))
        await tx.execute(
            sa.update(members)
            .where(
                members.c.tenant_id == world.scope.tenant_id, members.c.contact_id == ids["u2@example.org"]
            )
            .values(state="unsubscribed")
        )
        await suppress(
            tx, world.scope, parse_target("u3@example.org"), reason="manual", now=world.clock.now()
        )
    async with running(world.worker()):
        await world.settled(campaign)
    tasks = await world.tasks()
    reasons = {email: task.last_reply for email, task in tasks.items() if task.status == "skipped"}
    assert set(reasons) == {f"u{number}@example.org" for number in range(4)}
    assert reasons["u0@example.org"] == "the contact is unsubscribed"
    assert {caught.recipients[0] for caught in catcher.caught} == {"u4@example.org", "u5@example.org"}


async def test_what_was_composed_ahead_is_asked_about_again(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    """One slow connection: behind the message on the wire stands one in its hand, then more than ten composed."""
    sink = counting_sink(delay_ms=400)
    await world.people(40)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=1)):
        await asyncio.to_thread(sink.wait_for, 1)
        async with world.db.write(world.scope) as tx:
            await pause(tx, world.scope, campaign_id=campaign, now=world.clock.now())
        async with asyncio.timeout(30):
            while "claimed" in {task.status for task in (await world.tasks()).values()}:
                await asyncio.sleep(0.1)
    assert sink.accepted() <= 4
    assert {task.status for task in (await world.tasks()).values()} == {"sent", "queued"}


async def test_pause_resume_cancel(world: World, counting_sink: Callable[..., CountingSink]) -> None:
    sink = counting_sink(delay_ms=5)
    await world.people(1500)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    now = world.clock.now()
    async with running(world.worker(connections=4)):
        await asyncio.to_thread(sink.wait_for, 50)
        async with world.db.write(world.scope) as tx:
            await pause(tx, world.scope, campaign_id=campaign, now=now)
        await _still(sink)
        held = sink.accepted()
        assert held < 1500
        async with world.db.write(world.scope) as tx:
            await resume(tx, world.scope, campaign_id=campaign, now=now)
        await asyncio.to_thread(sink.wait_for, held + 50)
        async with world.db.write(world.scope) as tx:
            await cancel(tx, world.scope, campaign_id=campaign, now=now)
        await _still(sink)
    while await skip_page(world.db, world.scope, campaign_id=campaign, now=now):
        pass
    totals = await world.totals(campaign)
    assert totals.sent == sink.accepted() == len(sink.received())
    assert totals.skipped == 1500 - totals.sent


async def test_the_kill_switch_holds_and_lets_go(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=5)
    await world.people(400)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=2)):
        await asyncio.to_thread(sink.wait_for, 20)
        async with world.db.write(INSTANCE) as tx:
            await kill_switch.set_on(
                tx, INSTANCE, tenant_id=None, reason="test", actor="test", now=world.clock.now()
            )
        await _still(sink)
        assert sink.accepted() < 400
        async with world.db.write(INSTANCE) as tx:
            await kill_switch.set_off(tx, INSTANCE, tenant_id=None, actor="test", now=world.clock.now())
        await world.settled(campaign)
    assert sink.accepted() == len(sink.received()) == 400


async def test_a_lost_reply_is_in_doubt_and_not_sent_again(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(drop_unsaid=0.01, seed=3)
    await world.people(300)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=3)):
        await world.settled(campaign)
    totals = await world.totals(campaign)
    assert totals.doubt > 0
    assert totals.sent + totals.doubt == 300
    assert max(sink.received().values()) == 1


async def test_a_relay_that_comes_late_gets_everything(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    port = free_port()
    await world.people(60)
    await world.relay(port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await _until(world, lambda tasks: all(task.status == "queued" for task in tasks.values()))
        sink = counting_sink(port=port)
        await world.settled(campaign)
    assert sink.accepted() == len(sink.received()) == 60


async def test_two_workers_share_without_doubling(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink()
    await world.people(2000)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(batch_size=60)), running(world.worker(batch_size=60)):
        await world.settled(campaign)
    assert sink.accepted() == len(sink.received()) == 2000


@pytest.mark.parametrize(("people", "batch"), [(300, 20), (20, 2)])
async def test_no_more_is_claimed_than_a_batch(
    world: World, counting_sink: Callable[..., CountingSink], people: int, batch: int
) -> None:
    """What a machine that never comes back leaves in doubt; its connections could have twice as many in hand."""
    await world.people(people)
    await world.relay(counting_sink(delay_ms=30).port)
    campaign = await world.draft()
    await world.launch(campaign)
    tasks = table_of(EmailTask).c
    claimed = sa.select(sa.func.count()).where(tasks.status == "claimed")
    most = 0
    async with running(world.worker(batch_size=batch, connections=20)):
        while (await world.totals(campaign)).sent < people:
            async with world.db.read(INSTANCE) as tx:
                most = max(most, await tx.scalar(claimed) or 0)
    assert batch * 3 // 4 <= most <= batch


async def test_a_small_tenant_does_not_wait_for_a_large_one(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=4)
    async with world.db.write(INSTANCE) as tx:
        made = await create_tenant(
            tx, INSTANCE, name="Small", country="DE", postal_address="Street 2", now=world.clock.now()
        )
    small = replace(world, scope=scope_in(made, INSTANCE))
    campaigns = []
    for tenant, count in ((world, 1000), (small, 60)):
        await tenant.people(count, prefix=f"tenant{tenant.scope.tenant_id}-")
        await tenant.relay(sink.port)
        campaigns.append(await tenant.draft())
        await tenant.launch(campaigns[-1])
    async with running(world.worker(connections=2)):
        await small.settled(campaigns[1])
        assert (await world.totals(campaigns[0])).sent < 500


async def test_a_message_that_cannot_be_made_fails_alone(world: World, catcher: Catcher) -> None:
    await world.people(2)
    await world.relay(catcher.port)
    contacts = table_of(Contact)
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(contacts).where(_own(world, contacts, "u0@example.org")).values(email="no address")
        )
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    totals = await world.totals(campaign)
    assert (totals.sent, totals.failed) == (1, 1)
    (letter,) = await world.dead_letters()
    assert (letter.email, letter.cause) == ("no address", "content")


async def test_an_attribute_that_a_contact_lacks_is_counted_before_and_empty_then(
    world: World, catcher: Catcher
) -> None:
    await world.people(2)
    await world.relay(catcher.port)
    contacts = table_of(Contact)
    async with world.db.write(world.scope) as tx:
        await register(tx, world.scope, {"city": "City"})
        await tx.execute(
            sa.update(contacts)
            .where(_own(world, contacts, "u1@example.org"))
            .values(attributes={"city": "Köln"})
        )
    campaign = await world.draft(html=HTML.replace("<p>Hi", "<p>[{{ city }}] Hi"))
    launched = await world.launch(campaign)
    assert ["city is empty for 1 " in item.message for item in launched.warnings].count(True) == 1
    async with running(world.worker()):
        await world.settled(campaign)
    bodies = {
        caught.recipients[0]: caught.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        for caught in catcher.caught
    }
    assert bodies["u1@example.org"].startswith("[Köln] Hi")
    assert bodies["u0@example.org"].startswith("[] Hi")


def _own(world: World, contacts: sa.Table, email: str) -> sa.ColumnElement[bool]:
    return sa.and_(contacts.c.tenant_id == world.scope.tenant_id, contacts.c.email == email)


async def _until(
    world: World, condition: Callable[[dict[str, EmailTask]], bool], seconds: float = 20
) -> None:
    async with asyncio.timeout(seconds):
        while not condition(await world.tasks()):
            await asyncio.sleep(0.02)


async def _still(sink: CountingSink, seconds: float = 10) -> None:
    """Nothing comes any more for half a second. (How soon is measured by the benchmarks, not here.)"""
    async with asyncio.timeout(seconds):
        while True:
            before = sink.accepted()
            await asyncio.sleep(0.5)
            if sink.accepted() == before:
                return


async def test_a_connection_carries_many_messages_but_no_more_than_its_limit(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink()
    emails = await world.people(60)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=2, messages_per_connection=25)):
        await world.settled(campaign)
    assert sink.received() == dict.fromkeys(emails, 1)
    carried = Counter(envelope.connection for envelope in sink.envelopes())
    assert max(carried.values()) <= 25
    assert 3 <= len(carried) < 10


async def test_a_connection_that_grew_old_is_followed_by_a_new_one(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink(delay_ms=20)
    emails = await world.people(30)
    await world.relay(sink.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(connections=1, connection_age_seconds=0.1)):
        await world.settled(campaign)
    assert sink.received() == dict.fromkeys(emails, 1)
    assert len({envelope.connection for envelope in sink.envelopes()}) > 1
