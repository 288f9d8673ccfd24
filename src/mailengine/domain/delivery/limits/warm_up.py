"""Warm-up: a new sender starts slowly, because mailbox providers distrust volume from strangers.

A tenant: 3 days at 50 an hour, days 4 to 7 at 200 an hour, then full speed (P5-06). A relay's address or a
sending domain: a daily amount that grows over 30 days, by about a third a day up to 100,000 (the shape of the
schedules that SendGrid and Amazon SES publish for dedicated addresses).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.models import Period, WarmUp, WarmUpScope

_TENANT_STEPS = ((3, Rate(50, Period.HOUR)), (7, Rate(200, Period.HOUR)))
ADDRESS_DAYS = (
    50, 100, 150, 200, 300, 400, 550, 700, 950, 1_250,
    1_700, 2_200, 3_000, 4_000, 5_000, 6_500, 8_500, 11_000, 14_000, 18_000,
    23_000, 29_000, 36_000, 44_000, 52_000, 60_000, 70_000, 80_000, 90_000, 100_000,
)  # fmt: skip


def rate_on(scope: WarmUpScope, started_at: datetime, now: datetime) -> Rate | None:
    """What a warm-up allows now; None once it is over."""
    day = (now - started_at) // timedelta(days=1)
    if scope is WarmUpScope.TENANT:
        return next((rate for last_day, rate in _TENANT_STEPS if day < last_day), None)
    return Rate(ADDRESS_DAYS[max(0, day)], Period.DAY) if day < len(ADDRESS_DAYS) else None


def changes_at(scope: WarmUpScope, started_at: datetime, now: datetime) -> datetime | None:
    """When the next step begins; None once it is over."""
    if rate_on(scope, started_at, now) is None:
        return None
    day = (now - started_at) // timedelta(days=1)
    if scope is WarmUpScope.TENANT:
        last = next(last_day for last_day, _ in _TENANT_STEPS if day < last_day)
        return started_at + timedelta(days=last)
    return started_at + timedelta(days=day + 1)


def ends_at(scope: WarmUpScope, started_at: datetime) -> datetime:
    """When full speed begins."""
    days = _TENANT_STEPS[-1][0] if scope is WarmUpScope.TENANT else len(ADDRESS_DAYS)
    return started_at + timedelta(days=days)


def day_on(started_at: datetime, now: datetime) -> int:
    """The first day is 1."""
    return (now - started_at) // timedelta(days=1) + 1


async def start(tx: WriteTx, scope: Scope, *, kind: WarmUpScope, target: str, now: datetime) -> WarmUp:
    """Begin a warm-up; raises Conflict when one runs for the target."""
    scope.require(Grant.MANAGE)
    row = await _find(tx, scope, kind, target)
    if row is not None and rate_on(kind, row.started_at, now) is not None:
        raise Conflict(f"a warm-up of this {kind.value} is running already; stop it first")
    if row is None:
        row = WarmUp(tenant_id=scope.tenant_id, scope=kind, target=target, started_at=now)
        tx.add(row)
    row.started_at = now
    await tx.flush()
    await audit.record(tx, scope, "warm-up.start", "warm_up", row.id, now=now, kind=kind.value)
    return row


async def stop(tx: WriteTx, scope: Scope, *, kind: WarmUpScope, target: str, now: datetime) -> None:
    """End a warm-up early; raises NotFound."""
    scope.require(Grant.MANAGE)
    row = await _find(tx, scope, kind, target)
    if row is None:
        raise NotFound(f"there is no warm-up of this {kind.value}")
    await tx.delete(row)
    await audit.record(tx, scope, "warm-up.stop", "warm_up", row.id, now=now, kind=kind.value)


async def list_warm_ups(tx: ReadTx, scope: Scope) -> Sequence[WarmUp]:
    return (await tx.scalars(owned(WarmUp, scope).order_by(col(WarmUp.id)))).all()


async def get_warm_up(tx: ReadTx, scope: Scope, *, warm_up_id: int) -> WarmUp:
    """Raises NotFound, also for another tenant's."""
    row = await tx.scalar(owned(WarmUp, scope).where(col(WarmUp.id) == warm_up_id))
    if row is None:
        raise NotFound(f"there is no warm-up {warm_up_id}")
    return row


async def _find(tx: ReadTx, scope: Scope, kind: WarmUpScope, target: str) -> WarmUp | None:
    query: sa.Select[WarmUp] = owned(WarmUp, scope).where(
        col(WarmUp.scope) == kind, col(WarmUp.target) == target
    )
    return (await tx.scalars(query)).first()
