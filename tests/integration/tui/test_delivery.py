"""Delivery in the dashboard: relays, pace, messages in doubt, dead letters; jobs."""

from datetime import time

import pytest
import sqlalchemy as sa

from mailengine.db.tenancy import owned, table_of
from mailengine.domain.delivery.health import note
from mailengine.domain.delivery.limits import limits, quiet_hours, warm_up
from mailengine.domain.delivery.limits.rates import parse_rate
from mailengine.domain.jobs import jobs
from mailengine.models import (
    CampaignTotals,
    DeadLetter,
    EmailTask,
    JobKind,
    LimitScope,
    Relay,
    WarmUpScope,
)
from peers.catcher import Catcher
from peers.ports import free_port
from support.dashboard import Driver, dashboard
from support.world import World

pytestmark = pytest.mark.anyio


async def test_relays_are_tested_disabled_and_enabled(world: World, catcher: Catcher) -> None:
    await world.relay(catcher.port)
    await world.relay(free_port(), name="nowhere")
    async with dashboard(world) as driver:
        await driver.press("4")
        await driver.sees("main", "nowhere", f"127.0.0.1:{catcher.port} none")
        await driver.press("t")
        await driver.sees("main answers:")
        await driver.press("down", "t")
        await driver.sees("nowhere fails at connect")
        await driver.press("e")
        await driver.sees("Send nothing through nowhere any more?")
        await driver.press("escape")
        await driver.loses("Send nothing")
        assert await _enabled(world, "nowhere")
        await driver.press("e")
        await driver.sees("Send nothing through nowhere any more?")
        await driver.press("y")
        await driver.sees("nowhere is disabled")
        assert not await _enabled(world, "nowhere")
        await driver.press("e")
        await driver.sees("nowhere is enabled")


async def test_a_relays_trouble_is_seen(world: World) -> None:
    await world.relay(free_port())
    async with world.db.write(world.scope) as tx:
        relay = await tx.scalar(owned(Relay, world.scope))
        assert relay is not None
        await note(tx, world.scope, relay_id=relay.id or 0, words="421 not now", now=world.clock.now())
    async with dashboard(world) as driver:
        await driver.press("4")
        await driver.sees("main", "trouble", "421 not now")


async def _enabled(world: World, name: str) -> bool:
    async with world.db.read(world.scope) as tx:
        relay = await tx.scalar(owned(Relay, world.scope).where(table_of(Relay).c.name == name))
    assert relay is not None
    return relay.enabled


async def test_what_slows_sending_down(either_world: World) -> None:
    world = either_world
    now, scope = world.clock.now(), world.scope
    async with world.db.write(scope) as tx:
        await limits.set_limit(
            tx, scope, kind=LimitScope.TENANT, target="", rate=parse_rate("500/hour"), now=now
        )
        await warm_up.start(tx, scope, kind=WarmUpScope.TENANT, target="", now=now)
        await quiet_hours.set_quiet_hours(tx, scope, starts=time(11), ends=time(13), timezone="UTC", now=now)
    async with dashboard(world) as driver:
        await driver.press("4")
        await driver.sees("no relay")
        await driver.press("n")
        await driver.sees("Everything 500/hour", "25 now", "day 1: 50/hour", "rests until 13:00")


async def test_messages_in_doubt_are_settled(world: World) -> None:
    await _given_up(world, "doubt", count=3)
    async with dashboard(world) as driver:
        await driver.press("4")
        await driver.sees("127.0.0.1:2525")
        await driver.press("n", "n")
        await driver.sees("u0@example.org", "u2@example.org", "It arrived")
        await driver.press("a")
        await driver.sees("is settled as sent")
        await driver.loses("u0@example.org")
        await driver.press("l")
        await driver.sees("It becomes a dead letter")
        await driver.press("n")
        await driver.loses("It becomes a dead letter")
        await driver.press("l")
        await driver.sees("It becomes a dead letter")
        await driver.press("y")
        await driver.loses("u1@example.org")
        await driver.press("s")
        await driver.sees("again? If the first one arrived")
        await driver.press("y")
        await driver.sees("back in the queue", "nothing is in doubt")
    assert [task.status for _email, task in sorted((await world.tasks()).items())] == [
        "sent",
        "failed",
        "queued",
    ]


async def test_dead_letters_are_requeued(world: World) -> None:
    await _given_up(world, "failed", count=4)
    async with dashboard(world) as driver:
        await driver.press("4")
        await driver.sees("127.0.0.1:2525")
        await driver.press("b")
        await driver.sees("u3@example.org", "550 no [such] user", "Requeue")
        await driver.press("r")
        await driver.sees("1 back in the queue")
        await driver.loses("u3@example.org")
        await driver.press("R")
        await driver.sees("Try every dead letter again?")
        await driver.press("enter")
        await driver.loses("Try every dead letter again?")
        assert len(await world.dead_letters()) == 3
        await driver.press("slash")
        await driver.type("u1@")
        await driver.loses("u2@example.org")
        await driver.press("enter", "R")
        await driver.sees("Try every dead letter that holds 'u1@' again?")
        await driver.press("y")
        await driver.sees("nothing matches")
    assert sorted(letter.email for letter in await world.dead_letters()) == [
        "u0@example.org",
        "u2@example.org",
    ]


async def _given_up(world: World, status: str, *, count: int) -> None:
    """A campaign all of whose messages ended so."""
    await world.people(count)
    await world.relay(2525)
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    scope, now = world.scope, world.clock.now()
    async with world.db.write(scope) as tx:
        tasks, totals = table_of(EmailTask), table_of(CampaignTotals)
        await tx.execute(
            sa.update(tasks)
            .where(tasks.c.tenant_id == scope.tenant_id)
            .values(
                status=status,
                finished_at=now,
                last_reply="550 no [such] user",
                attempts=1,
                claim_token="claim" if status == "doubt" else None,
            )
        )
        counter = {"doubt": count} if status == "doubt" else {"failed": count}
        await tx.execute(sa.update(totals).where(totals.c.tenant_id == scope.tenant_id).values(**counter))
        if status == "failed":
            for task in await tx.scalars(owned(EmailTask, scope)):
                tx.add(
                    DeadLetter(
                        tenant_id=scope.tenant_id, task_id=task.id, campaign_id=campaign_id,
                        contact_id=task.contact_id, email=task.email, cause="policy", code=550,
                        reply=task.last_reply, at=now,
                    )
                )  # fmt: skip


async def test_jobs_are_followed_and_stopped(either_world: World) -> None:
    world = either_world
    scope, now = world.scope, world.clock.now()
    async with world.db.write(scope) as tx:
        made = await jobs.create(
            tx,
            scope,
            kind=JobKind.BULK,
            title="tag [many]",
            now=now,
            total=1000,
            result={"counts": {"tagged": 250}},
        )
        await jobs.start(tx, scope, job_id=made.id, now=now)  # type: ignore[arg-type]
        await jobs.progress(tx, scope, job_id=made.id, done=250)  # type: ignore[arg-type]
    async with dashboard(world) as driver:
        await driver.press("5")
        await driver.sees("tag [many]", "running", "25 %")
        await driver.press("c")
        await driver.sees(f"Stop job {made.id}")
        await driver.press("n")
        await driver.loses(f"Stop job {made.id}")
        await driver.press("enter")
        await driver.sees("250 of 1,000", "tagged", "Cancel it")
        await _stop(driver)
        await driver.sees("cancelled")
        assert "Cancel it" not in driver.lines()[-1]
    async with world.db.read(scope) as tx:
        assert (await jobs.get(tx, scope, job_id=made.id)).state == "cancelled"  # type: ignore[arg-type]


async def _stop(driver: Driver) -> None:
    await driver.press("c")
    await driver.sees("Stop job")
    await driver.press("y")
    await driver.sees("is cancelled")
