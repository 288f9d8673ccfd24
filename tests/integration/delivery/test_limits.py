"""Limits that hold: over restarts, between workers, for relays and for the whole tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from mailengine.core.errors import Conflict, NotFound
from mailengine.domain.delivery.limits import buckets, limits, quiet_hours, warm_up
from mailengine.domain.delivery.limits.rates import Rate, parse_rate
from mailengine.domain.senders.relays import get_relay
from mailengine.models import LimitScope, Period, WarmUpScope
from peers.ports import free_port
from peers.sink import CountingSink
from support.world import NOON, World, a_world, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        yield made


async def _limit(world: World, written: str, kind: LimitScope = LimitScope.TENANT, target: str = "") -> None:
    async with world.db.write(world.scope) as tx:
        await limits.set_limit(
            tx, world.scope, kind=kind, target=target, rate=parse_rate(written), now=world.clock.now()
        )


async def _quiet(sink: CountingSink, count: int) -> None:
    """The count is reached and stays."""
    await asyncio.to_thread(sink.wait_for, count)
    await asyncio.sleep(0.6)
    assert sink.accepted() == count


async def test_a_limit_holds_over_workers_and_restarts(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    sink = counting_sink()
    await world.people(60)
    await world.relay(sink.port)
    await _limit(world, "200/hour")  # a bucket of 10
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()), running(world.worker()):
        await _quiet(sink, 10)
    async with running(world.worker()):
        await _quiet(sink, 10)  # a restart gives nothing
        world.clock.advance(timedelta(minutes=6, seconds=20))  # 190 an hour: 20 more, but the bucket holds 10
        await _quiet(sink, 20)
        for _ in range(4):
            world.clock.advance(timedelta(minutes=6, seconds=20))
            await asyncio.sleep(0.1)
        world.clock.advance(timedelta(hours=1))
        await asyncio.to_thread(sink.wait_for, 30)
    assert max(sink.received().values()) == 1


async def test_the_next_relay_takes_over_when_the_first_is_used_up_or_down(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    first, second = counting_sink(), counting_sink()
    await world.people(40)
    await world.relay(first.port, name="first")
    await world.relay(second.port, name="second")
    await world.relay(free_port(), name="dead")
    async with world.db.write(world.scope) as tx:
        for name, priority in (("dead", 0), ("first", 1), ("second", 2)):
            (await get_relay(tx, world.scope, name=name)).priority = priority
        relay_id = (await get_relay(tx, world.scope, name="first")).id
    await _limit(world, "100/hour", LimitScope.RELAY, str(relay_id))  # a bucket of 5
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    assert (first.accepted(), second.accepted()) == (5, 35)


async def test_relays_of_one_priority_share_by_weight(
    world: World, counting_sink: Callable[..., CountingSink]
) -> None:
    light, heavy = counting_sink(), counting_sink()
    await world.people(600)
    await world.relay(light.port, name="light")
    await world.relay(heavy.port, name="heavy")
    async with world.db.write(world.scope) as tx:
        (await get_relay(tx, world.scope, name="heavy")).weight = 9
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker(batch_size=10)):
        await world.settled(campaign, seconds=60)
    assert light.accepted() + heavy.accepted() == 600
    assert heavy.accepted() > 2 * light.accepted() > 0  # 9 to 1 by chance, while a heavy one is free


async def test_warm_up_limits_and_ends(world: World, counting_sink: Callable[..., CountingSink]) -> None:
    sink = counting_sink()
    await world.people(30)
    await world.relay(sink.port)
    async with world.db.write(world.scope) as tx:
        await warm_up.start(tx, world.scope, kind=WarmUpScope.TENANT, target="", now=NOON)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await _quiet(sink, 2)  # 50 an hour: a bucket of 2
        world.clock.advance(timedelta(days=7))
        await world.settled(campaign)
    async with world.db.write(world.scope) as tx:
        await warm_up.start(tx, world.scope, kind=WarmUpScope.TENANT, target="", now=world.clock.now())
        with pytest.raises(Conflict):
            await warm_up.start(tx, world.scope, kind=WarmUpScope.TENANT, target="", now=world.clock.now())
        await warm_up.stop(tx, world.scope, kind=WarmUpScope.TENANT, target="", now=world.clock.now())
        with pytest.raises(NotFound):
            await warm_up.stop(tx, world.scope, kind=WarmUpScope.TENANT, target="", now=world.clock.now())


async def test_quiet_hours_rest_and_end(world: World, counting_sink: Callable[..., CountingSink]) -> None:
    sink = counting_sink()
    await world.people(20)
    await world.relay(sink.port)
    async with world.db.write(world.scope) as tx:  # it is noon in UTC
        await quiet_hours.set_quiet_hours(
            tx, world.scope, starts=time(11), ends=time(13), timezone="UTC", now=NOON
        )
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await _quiet(sink, 0)
        world.clock.advance(timedelta(hours=1))
        await world.settled(campaign)
    assert sink.accepted() == 20


async def test_concurrent_takers_never_get_more_than_there_is(world: World) -> None:
    rates = {"b": Rate(1000, Period.HOUR)}  # holds 50

    async def one() -> int:
        async with world.db.write(world.scope) as tx:
            return (await buckets.take(tx, world.scope, rates, wanted=7, now=NOON)).count

    async with world.db.write(world.scope) as tx:  # the row must be there for PostgreSQL to lock it
        await buckets.take(tx, world.scope, rates, wanted=1, now=NOON)
    assert sum(await asyncio.gather(*(one() for _ in range(12)))) == 49


async def test_the_first_takers_of_a_new_bucket_do_not_collide(world: World) -> None:
    rates = {"new": Rate(1000, Period.HOUR)}

    async def one() -> int:
        async with world.db.write(world.scope) as tx:
            return (await buckets.take(tx, world.scope, rates, wanted=30, now=NOON)).count

    assert sum(await asyncio.gather(*(one() for _ in range(4)))) == 50


async def test_another_tenants_limits_are_not_there(world: World, tmp_path: Path) -> None:
    await _limit(world, "100/hour")
    async with a_world(world.settings.database_url, tmp_path / "other", tenant="Other") as other:
        async with other.db.read(other.scope) as tx:
            assert list(await limits.list_limits(tx, other.scope)) == []
        async with other.db.write(other.scope) as write:
            with pytest.raises(NotFound):
                await limits.remove_limit(
                    write,
                    other.scope,
                    kind=LimitScope.TENANT,
                    target="",
                    period=Period.HOUR,
                    now=NOON,
                )
