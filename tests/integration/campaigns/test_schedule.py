"""Campaigns that are sent later: they wait, are launched at their time, or say why they were not."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from mailengine.core.ids import CampaignId
from mailengine.core.scope import ROLE_GRANTS, Scope
from mailengine.core.zones import moment_in
from mailengine.daemon.roles.scheduler import Scheduler
from mailengine.db.tenancy import owned
from mailengine.domain.accounts.users import add_member, create_user
from mailengine.domain.campaigns import campaigns, control, schedule
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.contacts import lists
from mailengine.domain.content import templates
from mailengine.models import Campaign, CampaignState, Message, Role
from mailengine.runtime import Runtime
from support.world import INSTANCE, NOON, World

pytestmark = pytest.mark.anyio
MORNING = NOON + timedelta(hours=20)
BERLIN = "Europe/Berlin"


async def ready(world: World) -> CampaignId:
    return await world.draft()


async def plan(world: World, campaign_id: CampaignId, **changes: object) -> schedule.Scheduled:
    values = {"at": MORNING, "zone": BERLIN, "now": world.clock.now(), **changes}
    return await schedule.schedule(world.db, world.scope, campaign_id=campaign_id, **values)  # type: ignore[arg-type]


async def seen(world: World, campaign_id: CampaignId) -> Campaign:
    async with world.db.read(world.scope) as tx:
        return await campaigns.get(tx, world.scope, campaign_id=campaign_id)


def scheduler(world: World) -> Scheduler:
    return Scheduler(Runtime(world.settings, world.db, world.clock, world.keyring))


async def letters(world: World) -> list[Message]:
    async with world.db.read(world.scope) as tx:
        return list(await tx.scalars(owned(Message, world.scope).order_by(col(Message.email))))


async def test_it_waits_is_fixed_and_is_launched_at_its_time(world: World) -> None:
    campaign_id = await ready(world)
    done = await plan(world, campaign_id)
    assert (done.campaign.state, done.audience) == ("scheduled", 5)
    for act in (campaigns.update, campaigns.delete, control.cancel, control.pause, control.resume):
        extra = {"fields": Fields(subject="Other")} if act is campaigns.update else {}
        with pytest.raises(Conflict, match="schedule"):
            async with world.db.write(world.scope) as tx:
                await act(tx, world.scope, campaign_id=campaign_id, now=NOON, **extra)
    async with world.db.write(world.scope) as tx:
        with pytest.raises(Conflict, match="used by the scheduled campaign Spring"):
            await templates.delete(tx, world.scope, template_id=done.campaign.template_id, now=NOON)
    working = scheduler(world)
    world.clock.advance(timedelta(hours=20, seconds=-1))
    assert await working.turn() is False
    assert (await seen(world, campaign_id)).state == "scheduled"
    world.clock.advance(timedelta(seconds=1))
    while await working.turn():
        pass
    campaign = await seen(world, campaign_id)
    assert (campaign.state, campaign.launched_at, campaign.scheduled_at) == ("sending", MORNING, MORNING)
    assert len(await world.tasks()) == 5
    with pytest.raises(Conflict, match="only a scheduled one"):
        async with world.db.write(world.scope) as tx:
            await schedule.unschedule(tx, world.scope, campaign_id=campaign_id, now=MORNING)


async def test_another_time_no_time_and_now_instead(world: World) -> None:
    campaign_id = await ready(world)
    await plan(world, campaign_id)
    moved = await plan(world, campaign_id, at=moment_in("2026-11-24 08:00", BERLIN))
    assert moved.campaign.scheduled_at == NOON + timedelta(hours=43)
    async with world.db.write(world.scope) as tx:
        back = await schedule.unschedule(tx, world.scope, campaign_id=campaign_id, now=NOON)
    assert (back.state, back.scheduled_at) == ("draft", None)
    await plan(world, campaign_id)
    await world.launch(campaign_id)
    assert (await seen(world, campaign_id)).state == "sending"
    world.clock.advance(timedelta(days=3))
    await scheduler(world).turn()
    assert len(await world.tasks()) == 5, "it was sent once"
    with pytest.raises(Conflict, match="is sending"):
        await plan(world, campaign_id, at=world.clock.now() + timedelta(days=1))


async def test_what_cannot_be_planned_is_refused(world: World, stranger: Scope) -> None:
    async with world.db.write(world.scope) as tx:
        await lists.create_list(tx, world.scope, name="Empty", now=NOON)
    empty = await world.draft(name="To nobody", lists=["Empty"])
    with pytest.raises(Refused, match="To nobody cannot be scheduled"):
        await plan(world, empty)
    campaign_id = await ready(world)
    wrong = (
        (NOON, "has passed"),
        (NOON - timedelta(days=1), "has passed"),
        (NOON + timedelta(days=800), "two years"),
    )
    for at, words in wrong:
        with pytest.raises(InvalidInput, match=words):
            await plan(world, campaign_id, at=at)
    with pytest.raises(InvalidInput, match="is no time zone"):
        await plan(world, campaign_id, zone="Mars/Olympus")
    viewer = Scope(world.scope.tenant_id, "viewer", ROLE_GRANTS[Role.VIEWER])
    with pytest.raises(Forbidden):
        await schedule.schedule(world.db, viewer, campaign_id=campaign_id, at=MORNING, zone="UTC", now=NOON)
    with pytest.raises(NotFound):
        await schedule.schedule(world.db, stranger, campaign_id=campaign_id, at=MORNING, zone="UTC", now=NOON)
    async with world.db.write(stranger) as tx:
        with pytest.raises(NotFound):
            await schedule.unschedule(tx, stranger, campaign_id=campaign_id, now=NOON)
    assert (await seen(world, campaign_id)).state == "draft"


async def test_what_is_blocked_at_its_time_is_a_draft_that_says_why_and_tells_those_in_charge(
    world: World,
) -> None:
    campaign_id = await ready(world)
    async with world.db.write(INSTANCE) as tx:
        for role in (Role.OWNER, Role.EDITOR):
            user = await create_user(tx, INSTANCE, email=f"{role}@example.org", password_hash="x", now=NOON)
            await add_member(tx, world.scope, user_id=user.id or 0, role=role, now=NOON)
    await plan(world, campaign_id)
    async with world.db.write(world.scope) as tx:
        row = await lists.get_list(tx, world.scope, name="Customers")
        await tx.execute(sa.text("DELETE FROM list_members WHERE list_id = :id"), {"id": row.id})
    world.clock.advance(timedelta(hours=21))
    await scheduler(world).turn()
    campaign = await seen(world, campaign_id)
    assert campaign.state == CampaignState.DRAFT
    assert "nobody" in " ".join(campaign.schedule_faults).lower(), campaign.schedule_faults
    (letter,) = await letters(world)
    assert (letter.email, letter.subject) == ("owner@example.org", "Spring was not sent")
    assert "was to be sent on 2026-11-23 at 09:00 (Europe/Berlin)" in letter.text
    assert campaign.schedule_faults[0] in letter.text
    await scheduler(world).turn()
    assert len(await letters(world)) == 1
    await world.people(1, list_name="Others", prefix="o")
    async with world.db.write(world.scope) as tx:
        fields = Fields(lists=["Others"])
        await campaigns.update(tx, world.scope, campaign_id=campaign_id, fields=fields, now=world.clock.now())
    again = await plan(world, campaign_id, at=world.clock.now() + timedelta(hours=1))
    assert again.campaign.schedule_faults == []


async def test_a_time_that_passed_while_nothing_ran(world: World) -> None:
    campaign_id = await ready(world)
    await plan(world, campaign_id)
    world.clock.advance(timedelta(hours=20) + schedule.LATEST)
    await scheduler(world).turn()
    assert (await seen(world, campaign_id)).state == "sending", "late, but the same day"
    second = await world.draft(name="Second")
    await plan(world, second, at=world.clock.now() + timedelta(hours=1))
    world.clock.advance(timedelta(hours=1, seconds=1) + schedule.LATEST)
    await scheduler(world).turn()
    late = await seen(world, second)
    assert (late.state, late.launched_at) == ("draft", None)
    assert "too late" in late.schedule_faults[0]


async def test_two_schedulers_send_it_once(world: World) -> None:
    """The lease keeps a second one away; should two look at the same moment, the launch is still one."""
    campaign_id = await ready(world)
    await plan(world, campaign_id)
    world.clock.advance(timedelta(hours=20))
    await asyncio.gather(scheduler(world).turn(), scheduler(world).turn())
    working = scheduler(world)
    while await working.turn():
        pass
    campaign = await seen(world, campaign_id)
    assert (campaign.state, campaign.schedule_faults) == ("sending", [])
    assert len(await world.tasks()) == 5
