"""Reputation on real sends: who is suspended, who is let go on, and who comes last."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col

from mailengine.core.ids import CampaignId, ContactId
from mailengine.db.tenancy import owned
from mailengine.domain.contacts import states
from mailengine.domain.delivery import kill_switch, reputation
from mailengine.domain.delivery.control import Control
from mailengine.domain.senders.relays import get_relay
from mailengine.models import AuditEntry, Contact, Reputation, Standing
from peers.catcher import Catcher
from peers.sink import CountingSink
from support.world import INSTANCE, World, a_world, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path, catcher: Catcher) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        await made.relay(catcher.port)
        yield made


@pytest.fixture
async def other(world: World, tmp_path: Path, catcher: Catcher) -> AsyncIterator[World]:
    """A second tenant of the same installation."""
    async with a_world(world.settings.database_url, tmp_path / "other", tenant="Other") as made:
        await made.relay(catcher.port)
        yield made


async def _mail(world: World, catcher: Catcher, name: str, count: int, bad: int = 0) -> CampaignId:
    """A campaign to `count` new people, the first `bad` of whom do not exist; a minute passes before and after."""
    emails = await world.people(count, list_name=name, prefix=f"{name.lower()}-")
    catcher.replies.update(dict.fromkeys(emails[:bad], "550 5.1.1 no such user"))
    world.clock.advance(timedelta(minutes=1))
    campaign = await world.draft(name=name, lists=[name])
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign, seconds=60)
    world.clock.advance(timedelta(minutes=1))
    return campaign


async def _judge(world: World) -> list[str]:
    return [ruling.fault for ruling in await reputation.evaluate(world.db, INSTANCE, now=world.clock.now())]


async def _stored(world: World) -> Reputation | None:
    async with world.db.read(world.scope) as tx:
        return await reputation.stored(tx, world.scope)


async def _standing(world: World) -> str:
    row = await _stored(world)
    assert row is not None
    return row.standing


async def _switch(world: World) -> str | None:
    """The reason of the tenant's kill switch; None while it is off."""
    async with world.db.read(INSTANCE) as tx:
        switches = await kill_switch.state(tx, INSTANCE)
    row = switches.tenants.get(world.scope.tenant_id)
    return None if row is None else row.reason


async def _switch_off(world: World) -> None:
    async with world.db.write(INSTANCE) as tx:
        await kill_switch.set_off(
            tx, INSTANCE, tenant_id=world.scope.tenant_id, actor="user:1", now=world.clock.now()
        )


async def test_bounces_suspend_a_tenant_once_and_only_that_one(
    world: World, other: World, catcher: Catcher
) -> None:
    await _mail(world, catcher, "Bought", 110, bad=8)
    await _mail(other, catcher, "Own", 10)
    assert await _judge(world) == ["bounce rate 7.3 %"]
    assert await _switch(world) == "bounce rate 7.3 %: sending is suspended"
    assert await _judge(world) == []
    assert await _standing(world) == Standing.BAD
    assert (await _switch(other), await _standing(other)) == (None, Standing.OK)
    async with world.db.read(world.scope) as tx:
        entries = (await tx.scalars(owned(AuditEntry, world.scope).order_by(col(AuditEntry.id)))).all()
    assert [entry.action for entry in entries][-2:] == ["kill-switch.on", "reputation.suspend"]
    assert entries[-1].details["bounces"] == 8
    control = Control()
    await control.refresh(world.db, INSTANCE, now=world.clock.now())
    assert control.risky == {world.scope.tenant_id}


async def test_who_is_switched_on_again_is_judged_by_what_comes_then(world: World, catcher: Catcher) -> None:
    await _mail(world, catcher, "Bought", 110, bad=10)
    assert await _judge(world) == ["bounce rate 9.1 %"]
    await _switch_off(world)
    assert (await _judge(world), await _standing(world)) == ([], Standing.RISKY)
    await _mail(world, catcher, "Good", 50)
    await _mail(world, catcher, "Few", 10, bad=3)  # 5 % of 60, and fewer than 100
    assert (await _judge(world), await _switch(world)) == ([], None)
    assert await _standing(world) == Standing.RISKY
    await _mail(world, catcher, "Worse", 50, bad=8)
    assert await _judge(world) == ["bounce rate 10.0 %"]
    await _switch_off(world)
    world.clock.advance(timedelta(days=31))
    assert await _judge(world) == []
    row = await _stored(world)
    assert row is not None
    assert (row.standing, row.bounces, row.held_at) == (Standing.OK, 0, None)


async def test_an_operators_own_switch_is_left_alone(world: World, catcher: Catcher) -> None:
    await _mail(world, catcher, "Bought", 110, bad=10)
    async with world.db.write(INSTANCE) as tx:
        await kill_switch.set_on(
            tx,
            INSTANCE,
            tenant_id=world.scope.tenant_id,
            reason="holiday",
            actor="user:1",
            now=world.clock.now(),
        )
    assert (await _judge(world), await _switch(world)) == ([], "holiday")
    await _switch_off(world)  # who did so had not been told of the bounces
    assert await _judge(world) == ["bounce rate 9.1 %"]


async def test_few_messages_decide_nothing_and_old_ones_count_in_part(world: World, catcher: Catcher) -> None:
    await _mail(world, catcher, "Small", 20, bad=4)
    assert (await _judge(world), await _standing(world)) == ([], Standing.OK)
    # Its campaign never ended: after 60 days, half of what it sent lies in the last 30.
    world.clock.advance(timedelta(days=60))
    async with world.db.read(world.scope) as tx:
        figures = await reputation.figures(tx, world.scope, now=world.clock.now())
    assert (figures.sent, figures.bounces) == (8, 0)


async def test_some_bounces_put_a_tenant_behind_the_others(
    world: World, other: World, catcher: Catcher
) -> None:
    await _mail(world, catcher, "Old", 110, bad=3)
    await _mail(other, catcher, "Own", 110, bad=1)
    assert await _judge(world) == []
    assert (await _standing(world), await _standing(other)) == (Standing.RISKY, Standing.OK)
    async with world.db.read(INSTANCE) as tx:
        assert await reputation.lower_lane(tx, INSTANCE) == {world.scope.tenant_id}
    campaign = await _mail(world, catcher, "Later", 5)  # last, and sent all the same
    assert (await world.totals(campaign)).sent == 5


async def test_complaints_suspend_too(
    world: World, catcher: Catcher, other: World, counting_sink: Callable[..., CountingSink]
) -> None:
    await world.relay(counting_sink().port, name="quick")
    async with world.db.write(world.scope) as tx:
        (await get_relay(tx, world.scope, name="main")).priority = 1
    await _mail(world, catcher, "Loud", 1000)
    async with world.db.write(world.scope) as tx:
        contacts = (await tx.scalars(owned(Contact, world.scope).order_by(col(Contact.id)).limit(4))).all()
        for contact in contacts:
            await states.complain(
                tx,
                world.scope,
                contact_id=ContactId(contact.id or 0),
                now=world.clock.now(),
                reason="feedback loop",
            )
    assert await _judge(world) == ["complaint rate 0.40 %"]
    assert await _switch(other) is None
