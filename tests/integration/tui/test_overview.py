"""The first screen, the bar above all screens, and the kill switch."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import table_of
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.delivery import kill_switch
from mailengine.models import CampaignTotals, EmailTask, Lease
from support.dashboard import dashboard
from support.world import INSTANCE, World, a_world

pytestmark = pytest.mark.anyio


async def test_figures_of_what_is_sent(either_world: World) -> None:
    world = either_world
    await world.people(10)
    await world.relay(2525)
    await world.launch(await world.draft())
    async with world.db.write(world.scope) as tx:
        tasks, totals = table_of(EmailTask), table_of(CampaignTotals)
        later = world.clock.now().replace(year=2027)
        first = sa.select(sa.func.min(tasks.c.id)).scalar_subquery()
        owned = tasks.c.tenant_id == world.scope.tenant_id
        await tx.execute(
            sa.update(tasks)
            .where(owned, tasks.c.id == first)
            .values(scheduled_at=later, first_tried_at=later)
        )
        await tx.execute(
            sa.update(tasks)
            .where(owned, tasks.c.id > first, tasks.c.id <= first + 4)
            .values(status="sent", finished_at=world.clock.now(), external_msg_id="250 ok", attempts=1)
        )
        await tx.execute(sa.update(totals).where(totals.c.tenant_id == world.scope.tenant_id).values(sent=4))
    async with dashboard(world) as driver:
        await driver.sees("no daemon runs", "none runs", "Spring", "sending", "40 %", "Sender health")
        assert _figures(driver.lines()) == ["6", "–", "4", "1", "0", "0"]  # the clock stands: no speed yet
        await driver.press("enter")
        await driver.sees("News for", "no open and no click yet")


def _figures(lines: list[str]) -> list[str]:
    """The values above their names."""
    (names,) = [number for number, line in enumerate(lines) if "accepted" in line and "deferred" in line]
    return lines[names - 1].split()


async def test_who_works_is_said(world: World) -> None:
    async with dashboard(world) as driver:
        await driver.sees("no daemon runs")
        async with world.db.write(INSTANCE) as tx:
            until = world.clock.now().replace(year=2030)
            tx.add(Lease(name="scheduler", holder="here", expires_at=until))
        await driver.sees("no worker sends")
        async with world.db.write(INSTANCE) as tx:
            tx.add(Lease(name="worker:here", holder="here", expires_at=until))
        await driver.sees("on 1 machine")
        await driver.loses("no worker sends")


async def test_the_kill_switch_asks_before_it_stops_and_before_it_goes_on(world: World) -> None:

    async def held() -> bool:
        async with world.db.read(INSTANCE) as tx:
            return (await kill_switch.state(tx, INSTANCE)).holds(world.scope.tenant_id)

    async with dashboard(world) as driver:
        await driver.sees("Daemon")
        await driver.press("k")
        await driver.sees("Stop all sending at once")
        await driver.press("escape")
        await driver.loses("Stop all sending at once")
        assert not await held()
        await driver.press("2", "k", "enter")
        await driver.sees("Why?")
        await driver.type("bad list")
        await driver.press("enter")
        await driver.sees("KILL SWITCH, this tenant's sending is stopped: bad list", "ON since")
        assert await held()
        await driver.press("k")
        await driver.sees("Let Acme send again?")
        await driver.press("enter")  # the way out has the focus
        await driver.loses("Let Acme send again?")
        assert await held()
        await driver.press("k")
        await driver.sees("Let Acme send again?")
        await driver.press("y")
        await driver.loses("KILL SWITCH")
        assert not await held()


async def test_the_whole_installation_is_stopped(world: World) -> None:
    async with dashboard(world) as driver:
        await driver.sees("Daemon")
        await driver.press("k", "down", "enter")
        await driver.sees("Why?")
        await driver.press("enter")
        await driver.sees("KILL SWITCH, all sending is stopped")
    async with world.db.read(INSTANCE) as tx:
        found = await kill_switch.state(tx, INSTANCE)
    assert found.instance is not None
    assert found.instance.set_by == "tui"


async def test_another_organisation_is_looked_at(world: World) -> None:
    await world.people(3)
    instance = InstanceScope("test")
    async with world.db.write(instance) as tx:
        await create_tenant(
            tx, instance, name="Zeta [b]&[/b]", country="DE", postal_address="Street 2", now=world.clock.now()
        )
    async with dashboard(world) as driver:
        await driver.press("3")
        await driver.sees("mailengine · Acme", "u0@example.org")
        await driver.press("enter")
        await driver.sees("added")
        await driver.press("o")
        await driver.sees("Look at which organisation?", "Zeta [b]&[/b]")
        await driver.press("down", "enter")
        await driver.sees("mailengine · Zeta [b]&[/b]", "no contact yet")
        await driver.loses("u0@example.org")


async def test_a_tenant_can_be_named_and_others_are_not_there(world: World, tmp_path: Path) -> None:
    await world.people(1)
    async with world.db.write(INSTANCE) as tx:
        other = await create_tenant(
            tx, INSTANCE, name="Zeta", country="DE", postal_address="Street 2", now=world.clock.now()
        )
        scope = scope_in(other, INSTANCE)
    stranger = World(world.db, world.settings, world.keyring, world.clock, scope)
    await stranger.people(1, prefix="z")
    async with dashboard(world, slug="zeta") as driver:
        await driver.press("3")
        await driver.sees("z0@example.org")
        assert "u0@example.org" not in driver.screen


async def test_a_database_that_is_gone_is_said_and_comes_back(sqlite_dsn: str, tmp_path: Path) -> None:
    async with a_world(sqlite_dsn, tmp_path) as world, dashboard(world) as driver:
        await driver.sees("no daemon runs")
        driver.app._beating = True  # nobody looks while it is closed: what is open would stay open
        await driver.until(lambda: _readers_out(world) == 0, "no look at the database")
        await world.db.close()
        driver.app._beating = False
        path = tmp_path / "test.sqlite3"
        path.rename(tmp_path / "away")
        path.mkdir()
        await driver.sees("✗")
        path.rmdir()
        (tmp_path / "away").rename(path)
        await driver.loses("✗")
        await driver.sees("no daemon runs")


def _readers_out(world: World) -> int:
    pool = world.db.reader.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
