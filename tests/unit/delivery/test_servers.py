"""Places at servers: never more than there are, none lost, and none while a server is left alone."""

import asyncio
import random

import pytest

from mailengine.domain.delivery.servers import LeftAlone, Servers, Slot, Target

pytestmark = pytest.mark.anyio

ONE = Target("mx1.example.test", "192.0.2.1")
TWO = Target("mx2.example.test", "192.0.2.2")
OTHER = Target("mx.other.test", "192.0.2.3")
BUSY = "421 4.3.2 busy"


def always() -> bool:
    return True


async def taken(servers: Servers, target: Target | None) -> Slot:
    slot = await servers.slot(target, always)
    assert slot is not None
    return slot


async def waiting(servers: Servers, target: Target | None) -> "asyncio.Task[Slot | None]":
    task = asyncio.create_task(servers.slot(target, always))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_name_and_an_address_are_limited_each_and_each_address_of_ours_apart() -> None:
    servers = Servers(per_server=1, most=9)
    slot = await taken(servers, ONE)
    same_name = await waiting(servers, Target(ONE.host, "192.0.2.9"))
    same_address = await waiting(servers, Target("mx.vanity.test", ONE.address))
    await taken(servers, Target(ONE.host, ONE.address, "198.51.100.1"))
    await taken(servers, TWO)
    slot.release()
    assert await same_name
    assert await same_address


async def test_each_who_waits_asks_one_and_the_next_holder_too() -> None:
    servers = Servers(per_server=2, most=9)
    first, second = await taken(servers, ONE), await taken(servers, ONE)
    third = await waiting(servers, ONE)
    assert (first.wanted, second.wanted) == (True, False)
    fourth = await waiting(servers, ONE)
    fifth = await waiting(servers, ONE)
    assert second.wanted
    first.release()
    assert (await third).wanted
    second.release()
    assert not (await fourth).wanted  # the third goes for the fifth
    fifth.cancel()


async def test_who_is_cancelled_as_the_place_comes_gives_it_on() -> None:
    servers = Servers(per_server=1, most=9)
    slot = await taken(servers, ONE)
    gone, next_one = await waiting(servers, ONE), await waiting(servers, ONE)
    slot.release()
    gone.cancel()
    assert await next_one
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_who_needs_none_any_more_gets_none() -> None:
    servers = Servers(per_server=1, most=9)
    slot = await taken(servers, ONE)
    task = asyncio.create_task(servers.slot(ONE, lambda: False))
    await asyncio.sleep(0)
    slot.release()
    assert await task is None


async def test_trouble_is_an_addresss_and_rate_a_providers() -> None:
    servers = Servers(per_server=2, most=9)
    one, two, other = [await taken(servers, target) for target in (ONE, TWO, OTHER)]
    one.trouble(BUSY, rate=False)
    assert (one.barred, two.barred) == (True, False)
    with pytest.raises(LeftAlone, match="busy"):
        await servers.slot(ONE, always)
    await taken(servers, TWO)
    waits = await waiting(servers, TWO)
    two.trouble("421 4.7.28 rate", rate=True)
    assert (two.barred, other.barred) == (True, False)
    for refused in (waits, servers.slot(TWO, always)):
        with pytest.raises(LeftAlone, match="rate"):
            await refused
    await taken(servers, OTHER)


async def test_one_finds_out_whether_it_is_well_again() -> None:
    servers = Servers(per_server=5, most=9)
    slot = await taken(servers, ONE)
    slot.trouble(BUSY, rate=False)
    slot.release()
    while True:
        try:
            scout = await taken(servers, ONE)
            break
        except LeftAlone as rest:
            await asyncio.sleep(rest.seconds)
    with pytest.raises(LeftAlone):  # nobody waits for the scout, who may hang
        await servers.slot(ONE, always)
    scout.success()
    await taken(servers, ONE)


async def test_no_more_than_there_are() -> None:
    servers, chance = Servers(per_server=3, most=7), random.Random(4)
    open_now: list[Target | None] = []

    async def connect() -> None:
        target = chance.choice([ONE, TWO, OTHER, None])
        slot = await servers.slot(target, always)
        assert slot is not None
        open_now.append(target)
        assert len(open_now) <= 7
        assert target is None or open_now.count(target) <= 3
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        open_now.remove(target)
        slot.release()

    tasks = [asyncio.create_task(connect()) for _ in range(300)]
    for task in chance.sample(tasks, 60):
        await asyncio.sleep(0)
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [end for end in ends if isinstance(end, AssertionError)]
    assert all(await asyncio.gather(*(servers.slot(OTHER, always) for _ in range(3))))
