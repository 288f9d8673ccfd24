"""The kill switch: whole installation or one tenant, and who was told in the audit log."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.delivery import kill_switch
from mailengine.models import AuditEntry
from support.house import INSTANCE, NOW

pytestmark = pytest.mark.anyio


async def turn_on(db: Database, scope: Scope | None, reason: str = "") -> None:
    async with db.write(INSTANCE) as tx:
        await kill_switch.set_on(
            tx,
            INSTANCE,
            tenant_id=scope.tenant_id if scope else None,
            reason=reason,
            actor="cli",
            now=NOW,
        )


async def turn_off(db: Database, scope: Scope | None) -> bool:
    async with db.write(INSTANCE) as tx:
        return await kill_switch.set_off(
            tx, INSTANCE, tenant_id=scope.tenant_id if scope else None, actor="cli", now=NOW
        )


async def state(db: Database) -> kill_switch.KillState:
    async with db.read(INSTANCE) as tx:
        return await kill_switch.state(tx, INSTANCE)


async def test_it_holds_one_tenant_or_all(db: Database, scope: Scope, other: Scope) -> None:
    assert not (await state(db)).holds(scope.tenant_id)
    await turn_on(db, scope, "complaints")
    held = await state(db)
    assert held.holds(scope.tenant_id)
    assert not held.holds(other.tenant_id)
    await turn_on(db, None)
    assert (await state(db)).holds(other.tenant_id)
    assert await turn_off(db, None)
    held = await state(db)
    assert held.holds(scope.tenant_id)
    assert not held.holds(other.tenant_id)
    assert held.tenants[scope.tenant_id].reason == "complaints"


async def test_turning_it_twice_is_no_error(db: Database, scope: Scope) -> None:
    await turn_on(db, None, "first")
    await turn_on(db, None, "second")
    switch = (await state(db)).instance
    assert switch is not None
    assert switch.reason == "second"
    assert await turn_off(db, None)
    assert not await turn_off(db, None)


async def test_every_tenant_that_is_held_has_it_in_its_log(db: Database, scope: Scope, other: Scope) -> None:
    await turn_on(db, scope)
    await turn_on(db, None)
    await turn_off(db, None)
    async with db.read(INSTANCE) as tx:
        rows = await tx.execute(
            sa.select(col(AuditEntry.tenant_id), col(AuditEntry.action))
            .where(col(AuditEntry.resource) == "kill_switch")
            .order_by(col(AuditEntry.id))
        )
        found = [tuple(row) for row in rows]
    assert found == [
        (scope.tenant_id, "kill-switch.on"),
        (scope.tenant_id, "kill-switch.on"),
        (other.tenant_id, "kill-switch.on"),
        (scope.tenant_id, "kill-switch.off"),
        (other.tenant_id, "kill-switch.off"),
    ]


async def test_two_people_at_the_same_moment(db: Database, scope: Scope) -> None:
    await asyncio.gather(*(turn_on(db, scope, f"by {number}") for number in range(6)))
    switch = (await state(db)).tenants[scope.tenant_id]
    assert switch.reason.startswith("by ")
    assert sorted(await asyncio.gather(*(turn_off(db, scope) for _ in range(6)))) == [False] * 5 + [True]
    await asyncio.gather(*(act(db, scope) for act in (turn_on, turn_off) * 4))
    assert (await state(db)).instance is None
