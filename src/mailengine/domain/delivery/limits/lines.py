"""Limits and warm-ups as a person reads them: what they concern, and what they let through now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery.limits import buckets, limits, warm_up
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.models import Limit, LimitScope, Period, WarmUp, WarmUpScope


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit and what is left of it now."""

    row: Limit
    about: str
    rate: Rate
    available: int


@dataclass(frozen=True, slots=True)
class WarmUpLine:
    """A warm-up that runs; `rate` is today's."""

    row: WarmUp
    about: str
    rate: Rate
    day: int
    ends: datetime


async def limit_lines(
    tx: ReadTx, scope: Scope, relay_names: Mapping[str, str], *, now: datetime
) -> list[LimitLine]:
    """All limits of the tenant."""
    return await lines_of(tx, scope, await limits.list_limits(tx, scope), relay_names, now=now)


async def lines_of(
    tx: ReadTx, scope: Scope, rows: Sequence[Limit], relay_names: Mapping[str, str], *, now: datetime
) -> list[LimitLine]:
    """These limits, each with what is free of it."""
    keys = [limits.bucket_name(LimitScope(row.scope), row.target, Period(row.period)) for row in rows]
    rates = {key: limits.rate_of(row) for key, row in zip(keys, rows, strict=True)}
    levels = await buckets.levels(tx, scope, rates, now=now)
    return [
        LimitLine(row, _about(row.scope, row.target, relay_names), rates[key], int(levels[key].available()))
        for key, row in zip(keys, rows, strict=True)
    ]


async def warm_up_lines(
    tx: ReadTx, scope: Scope, relay_names: Mapping[str, str], *, now: datetime
) -> list[WarmUpLine]:
    """The warm-ups that are not over."""
    lines = []
    for row in await warm_up.list_warm_ups(tx, scope):
        kind = WarmUpScope(row.scope)
        rate = warm_up.rate_on(kind, row.started_at, now)
        if rate is not None:
            day, ends = warm_up.day_on(row.started_at, now), warm_up.ends_at(kind, row.started_at)
            lines.append(WarmUpLine(row, _about(row.scope, row.target, relay_names), rate, day, ends))
    return lines


def _about(kind: str, target: str, relay_names: Mapping[str, str]) -> str:
    if kind == "tenant":
        return "Everything"
    return relay_names.get(target, target) if kind == "relay" else target
