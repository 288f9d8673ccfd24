"""What limits do to a campaign is said before it starts and while it runs."""

from datetime import time, timedelta

import pytest

from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.domain.campaigns.launch import check
from mailengine.domain.delivery.limits.limits import set_limit
from mailengine.domain.delivery.limits.quiet_hours import set_quiet_hours
from mailengine.domain.delivery.limits.rates import parse_rate
from mailengine.domain.reports.progress import Followed, follow
from mailengine.domain.senders import relays
from mailengine.models import LimitScope
from support.world import NOON, World

pytestmark = pytest.mark.anyio

SAID = "Throttled: sending at 50/hour, 6 hours remaining"  # 2 of 300 go at once


async def limit(world: World, scope: Scope, rate: str, relay: str | None = None) -> None:
    async with world.db.write(scope) as tx:
        target = "" if relay is None else str((await relays.get_relay(tx, scope, name=relay)).id)
        kind = LimitScope.TENANT if relay is None else LimitScope.RELAY
        await set_limit(tx, scope, kind=kind, target=target, rate=parse_rate(rate), now=NOON)


async def said(world: World, campaign_id: CampaignId) -> list[tuple[str, str]]:
    """What the checklist says about the pace."""
    items = await check(world.db, world.scope, campaign_id=campaign_id, now=world.clock.now())
    return [(item.level, item.message) for item in items if item.code == "throttle"]


async def followed(world: World, campaign_id: CampaignId) -> Followed:
    async with world.db.read(world.scope) as tx:
        return await follow(tx, world.scope, campaign_id=campaign_id, now=world.clock.now())


async def test_the_forecast_is_said_before_and_while(world: World, stranger: Scope) -> None:
    await world.people(300, list_name="Many", prefix="m")
    campaign_id = await world.draft(lists=["Many"])
    await limit(world, stranger, "1/day")
    assert await said(world, campaign_id) == []
    await limit(world, world.scope, "50/hour")
    assert await said(world, campaign_id) == [("ok", SAID)]
    launched = await world.launch(campaign_id)
    assert str(launched.throttled) == SAID
    found = await followed(world, campaign_id)
    assert (str(found.throttled), list(found.held)) == (SAID, [])
    assert found.throttled is not None
    assert found.throttled.remaining == timedelta(hours=298 / 50)


async def test_what_leaves_at_once_is_not_throttled(world: World) -> None:
    campaign_id = await world.draft()  # to 5 people
    await limit(world, world.scope, "100/hour")  # a bucket of 5
    assert await said(world, campaign_id) == []
    await limit(world, world.scope, "99/hour")
    assert len(await said(world, campaign_id)) == 1


async def test_a_relays_limit_counts_where_no_other_relay_takes_the_rest(world: World) -> None:
    await world.relay(26, name="spare")
    await limit(world, world.scope, "20/hour", relay="main")
    campaign_id = await world.draft()
    assert await said(world, campaign_id) == []
    only_main = await world.draft(name="Summer", relay="main")
    assert len(await said(world, only_main)) == 1
    async with world.db.write(world.scope) as tx:
        changes = relays.RelayChanges(enabled=False)
        await relays.update(tx, world.scope, name="spare", changes=changes, now=NOON)
    assert len(await said(world, campaign_id)) == 1


async def test_relays_that_are_all_limited_are_counted_together(world: World) -> None:
    await world.relay(26, name="spare")
    for relay in ("main", "spare"):
        await limit(world, world.scope, "1/hour", relay=relay)
    campaign_id = await world.draft()  # to 5 people, of whom each relay takes one at once
    assert await said(world, campaign_id) == [("ok", "Throttled: sending at 2/hour, 2 hours remaining")]


async def test_quiet_hours_are_counted_before_the_launch(world: World) -> None:
    await limit(world, world.scope, "2/hour")
    campaign_id = await world.draft()  # to 5 people, of whom one goes at once
    async with world.db.write(world.scope) as tx:
        await set_quiet_hours(tx, world.scope, starts=time(13), ends=time(21), timezone="UTC", now=NOON)
    assert await said(world, campaign_id) == [("ok", "Throttled: sending at 2/hour, 10 hours remaining")]


async def test_a_disabled_relay_blocks(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        changes = relays.RelayChanges(enabled=False)
        await relays.update(tx, world.scope, name="main", changes=changes, now=NOON)
    items = await check(world.db, world.scope, campaign_id=await world.draft(), now=NOON)
    (blocked,) = [item for item in items if item.code == "relay"]
    assert (blocked.level, "--enable" in blocked.message) == ("error", True)


async def test_quiet_hours_are_said_while_they_hold(world: World) -> None:
    await limit(world, world.scope, "20/hour")
    async with world.db.write(world.scope) as tx:
        await set_quiet_hours(
            tx, world.scope, starts=time(12), ends=time(14), timezone="Europe/Berlin", now=NOON
        )
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    found = await followed(world, campaign_id)  # 13:00 in Berlin
    assert list(found.held) == ["quiet hours until 14:00 (Europe/Berlin)"]
    assert found.throttled is None
    world.clock.advance(timedelta(hours=1))
    found = await followed(world, campaign_id)
    assert (list(found.held), found.throttled is None) == ([], False)
