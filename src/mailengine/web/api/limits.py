"""What slows sending down, over the API: limits, warm-ups, quiet hours."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from mailengine.core.scope import Scope
from mailengine.domain.delivery.limits import limits, quiet_hours, warm_up
from mailengine.domain.delivery.limits.lines import LimitLine, limit_lines, lines_of
from mailengine.domain.delivery.limits.rates import MAX_AMOUNT, Rate
from mailengine.domain.delivery.limits.targets import limit_target, warm_up_target
from mailengine.domain.senders import relays
from mailengine.models import LimitScope, Period, QuietHours, WarmUp, WarmUpScope
from mailengine.web.api.rights import MANAGE
from mailengine.web.api.shapes import NO_NUL, READ, WRITE, Given, Id, Name, PageOf, whole
from mailengine.web.site import Site

Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
Domain = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=NO_NUL)]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=NO_NUL)]


class LimitShape(msgspec.Struct):
    """`amount` messages in any `period`: of the whole organisation, of a relay (`target` is its name), or to a
    provider (google, microsoft, …) or domain of recipients. `available` may go now."""

    id: int
    scope: LimitScope
    target: str | None
    amount: int
    period: Period
    available: int


class NewLimit(Given):
    """Of all that is sent, unless a relay's name or a provider is given."""

    amount: Amount
    period: Period
    relay: Name | None = None
    provider: Domain | None = None


class WarmUpShape(msgspec.Struct):
    """`day` is 1 on the first; `amount` messages a `period` may go now, null once it is over, as is `changes_at`."""

    id: int
    scope: WarmUpScope
    target: str | None
    day: int
    amount: int | None
    period: Period | None
    changes_at: datetime | None
    ends_at: datetime
    started_at: datetime


class NewWarmUp(Given):
    """Of the organisation (7 days), unless a relay's name or a sending domain is given (30 days)."""

    relay: Name | None = None
    domain: Domain | None = None


class QuietShape(msgspec.Struct):
    """In which campaigns rest every day; all null where there are none. `quiet_until` is set while it is quiet."""

    starts: str | None = None
    ends: str | None = None
    time_zone: str | None = None
    quiet_until: datetime | None = None


class NewQuietHours(Given):
    """From `starts` like `22:00` to `ends`, the next day where that is earlier, on the clocks of the time zone."""

    starts: TimeOfDay
    ends: TimeOfDay
    time_zone: Zone = "UTC"


class Limits(Controller):
    """How much may be sent in a second, minute, hour or day; several hold together."""

    path = "/limits"
    tags = ("delivery",)

    @get(**READ, summary="List the limits")
    async def list_them(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope]
    ) -> PageOf[LimitShape]:
        """Oldest first, all of them."""
        async with site.rt.db.read(caller) as tx:
            names = await relays.names(tx, caller)
            lines = await limit_lines(tx, caller, names, now=site.rt.clock.now())
        return whole([limit_shape(line) for line in lines])

    @put(**MANAGE, **WRITE, summary="Set a limit")
    async def set_limit(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewLimit]
    ) -> LimitShape:
        """Replaces the one of the same target and period; workers take it up with their next claim."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            kind, target = await limit_target(tx, caller, relay=data.relay, provider=data.provider)
            rate = Rate(data.amount, data.period)
            row = await limits.set_limit(tx, caller, kind=kind, target=target, rate=rate, now=now)
            (line,) = await lines_of(tx, caller, [row], await relays.names(tx, caller), now=now)
        return limit_shape(line)

    @delete("/{limit_id:int}", **MANAGE, **WRITE, summary="Remove a limit")
    async def remove(self, site: NamedDependency[Site], caller: NamedDependency[Scope], limit_id: Id) -> None:
        async with site.rt.db.write(caller) as tx:
            row = await limits.get_limit(tx, caller, limit_id=limit_id)
            kind, period = LimitScope(row.scope), Period(row.period)
            await limits.remove_limit(
                tx, caller, kind=kind, target=row.target, period=period, now=site.rt.clock.now()
            )


class WarmUps(Controller):
    """A new sender starts slowly."""

    path = "/warm-ups"
    tags = ("delivery",)

    @get(**READ, summary="List the warm-ups")
    async def list_them(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope]
    ) -> PageOf[WarmUpShape]:
        """Oldest first, all of them, also those that are over."""
        async with site.rt.db.read(caller) as tx:
            names = await relays.names(tx, caller)
            rows = await warm_up.list_warm_ups(tx, caller)
        return whole([warm_up_shape(row, names.get(row.target), site.rt.clock.now()) for row in rows])

    @post(**MANAGE, **WRITE, summary="Start a warm-up")
    async def start(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewWarmUp]
    ) -> WarmUpShape:
        """409 while one of the same target runs; one that is over begins again."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            kind, target = await warm_up_target(tx, caller, relay=data.relay, domain=data.domain)
            row = await warm_up.start(tx, caller, kind=kind, target=target, now=now)
            return warm_up_shape(row, data.relay, now)

    @delete("/{warm_up_id:int}", **MANAGE, **WRITE, summary="End a warm-up before its time")
    async def stop(self, site: NamedDependency[Site], caller: NamedDependency[Scope], warm_up_id: Id) -> None:
        """Full speed from now on."""
        async with site.rt.db.write(caller) as tx:
            row = await warm_up.get_warm_up(tx, caller, warm_up_id=warm_up_id)
            now = site.rt.clock.now()
            await warm_up.stop(tx, caller, kind=WarmUpScope(row.scope), target=row.target, now=now)


class QuietTimes(Controller):
    """The part of the day in which campaigns rest."""

    path = "/quiet-hours"
    tags = ("delivery",)

    @get(**READ, summary="See the quiet hours")
    async def see(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> QuietShape:
        async with site.rt.db.read(caller) as tx:
            return quiet_shape(await quiet_hours.get_quiet_hours(tx, caller), site.rt.clock.now())

    @put(**MANAGE, **WRITE, summary="Set the quiet hours")
    async def set_them(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewQuietHours]
    ) -> QuietShape:
        starts, ends = quiet_hours.parse_time(data.starts), quiet_hours.parse_time(data.ends)
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            row = await quiet_hours.set_quiet_hours(
                tx, caller, starts=starts, ends=ends, timezone=data.time_zone, now=now
            )
            return quiet_shape(row, now)

    @delete(**MANAGE, **WRITE, summary="Let campaigns be sent at any time")
    async def clear(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> None:
        """No error when there were none."""
        async with site.rt.db.write(caller) as tx:
            await quiet_hours.clear_quiet_hours(tx, caller, now=site.rt.clock.now())


def limit_shape(line: LimitLine) -> LimitShape:
    row, kind = line.row, LimitScope(line.row.scope)
    assert row.id is not None
    target = None if kind is LimitScope.TENANT else line.about
    return LimitShape(row.id, kind, target, row.amount, Period(row.period), line.available)


def warm_up_shape(row: WarmUp, relay: str | None, now: datetime) -> WarmUpShape:
    assert row.id is not None
    kind = WarmUpScope(row.scope)
    rate = warm_up.rate_on(kind, row.started_at, now)
    return WarmUpShape(
        id=row.id,
        scope=kind,
        target=relay or row.target or None,
        day=warm_up.day_on(row.started_at, now),
        amount=rate.amount if rate else None,
        period=rate.period if rate else None,
        changes_at=warm_up.changes_at(kind, row.started_at, now),
        ends_at=warm_up.ends_at(kind, row.started_at),
        started_at=row.started_at,
    )


def quiet_shape(row: QuietHours | None, now: datetime) -> QuietShape:
    if row is None:
        return QuietShape()
    starts, ends = (quiet_hours.written(minutes) for minutes in (row.starts, row.ends))
    return QuietShape(starts, ends, row.timezone, quiet_hours.quiet_until(row, now))
