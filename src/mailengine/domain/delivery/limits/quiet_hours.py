"""Quiet hours: the part of the day in which a tenant's campaigns rest, told in its own time zone."""

from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import AnyScope, Grant, Scope
from mailengine.core.zones import zone_of
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.models import QuietHours

_DAY_MINUTES = 24 * 60
_ANY = Prepared(sa.select(table_of(QuietHours).c.tenant_id).limit(1))


async def set_quiet_hours(
    tx: WriteTx, scope: Scope, *, starts: time, ends: time, timezone: str, now: datetime
) -> QuietHours:
    """Set or replace; raises InvalidInput for an unknown zone or an empty span."""
    scope.require(Grant.MANAGE)
    zone_of(timezone)
    if starts == ends:
        raise InvalidInput("quiet hours that start when they end would never or always rest")
    row = await tx.get(QuietHours, scope.tenant_id)
    if row is None:
        row = QuietHours(tenant_id=scope.tenant_id, starts=0, ends=0, timezone=timezone)
        tx.add(row)
    row.starts, row.ends, row.timezone = _minutes(starts), _minutes(ends), timezone
    await audit.record(tx, scope, "quiet-hours.set", "tenant", scope.tenant_id, now=now)
    return row


async def clear_quiet_hours(tx: WriteTx, scope: Scope, *, now: datetime) -> None:
    scope.require(Grant.MANAGE)
    row = await tx.get(QuietHours, scope.tenant_id)
    if row is not None:
        await tx.delete(row)
        await audit.record(tx, scope, "quiet-hours.clear", "tenant", scope.tenant_id, now=now)


async def get_quiet_hours(tx: ReadTx, scope: Scope) -> QuietHours | None:
    return await tx.get(QuietHours, scope.tenant_id)


async def resting(tx: ReadTx, _scope: AnyScope, *, now: datetime) -> frozenset[int]:
    """The tenants that rest now."""
    if not await _ANY.rows(tx, {}):
        return frozenset()
    rows = await tx.scalars(sa.select(QuietHours))
    return frozenset(row.tenant_id for row in rows if quiet_until(row, now) is not None)


def quiet_until(row: QuietHours, now: datetime) -> datetime | None:
    """When the rest that is on now ends, None when there is none."""
    local = now.astimezone(zone_of(row.timezone))
    minute = local.hour * 60 + local.minute
    inside = (
        row.starts <= minute < row.ends
        if row.starts < row.ends
        else minute >= row.starts or minute < row.ends
    )
    if not inside:
        return None
    end = local.replace(hour=row.ends // 60, minute=row.ends % 60, second=0, microsecond=0)
    if end <= local:
        end += timedelta(days=1)
    return end.astimezone(UTC)


def next_rest(row: QuietHours, now: datetime) -> datetime:
    """When the next rest begins, for a moment outside of one."""
    local = now.astimezone(zone_of(row.timezone))
    start = local.replace(hour=row.starts // 60, minute=row.starts % 60, second=0, microsecond=0)
    if start <= local:
        start += timedelta(days=1)
    return start.astimezone(UTC)


def open_seconds_a_day(row: QuietHours) -> int:
    """How much of an ordinary day is sent in."""
    return (row.starts - row.ends) % _DAY_MINUTES * 60


def parse_time(text: str) -> time:
    """`22:00`; raises InvalidInput."""
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time of day; write for example 22:00") from error


def written(minutes: int) -> str:
    """Minutes after midnight as `22:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _minutes(moment: time) -> int:
    return (moment.hour * 60 + moment.minute) % _DAY_MINUTES
