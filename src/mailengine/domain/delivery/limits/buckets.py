"""Token buckets in the database: taken in the transaction that claims, given back by the one that records.

All buckets that concern a claim are asked at once, and the scarcest decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.delivery.limits.rates import Level, Rate, full
from mailengine.models import Bucket


@dataclass(frozen=True, slots=True)
class Granted:
    """How many messages may go now; `ready_at` is when the scarcest bucket has its next one."""

    count: int
    ready_at: datetime


async def take(
    tx: WriteTx,
    scope: Scope,
    rates: Mapping[str, Rate],
    *,
    wanted: int,
    now: datetime,
    leave_reserve: bool = False,
) -> Granted:
    """Take up to `wanted` tokens from every bucket in `rates` (name → rate), the same number from each.

    `leave_reserve`: a campaign leaves the last of each bucket to transactional mail, which then need not wait.
    """
    if not rates or wanted <= 0:
        return Granted(max(0, wanted), now)
    await _make(tx, scope, rates, now)
    rows = await _rows(tx, scope, rates, lock=True)
    levels = {name: _level(row, rates[name], now) for name, row in rows.items()}
    kept = {name: rate.reserve if leave_reserve else 0 for name, rate in rates.items()}
    count = max(0, min(wanted, *(level.available() - kept[name] for name, level in levels.items())))
    left = {name: Level(level.tokens - count, level.filled_at) for name, level in levels.items()}
    for name, row in rows.items():
        row.tokens, row.filled_at = left[name].tokens, left[name].filled_at
    return Granted(count, max(left[name].ready_at(rate, above=kept[name]) for name, rate in rates.items()))


async def give_back(
    tx: WriteTx, scope: Scope, rates: Mapping[str, Rate], *, count: int, now: datetime
) -> None:
    """Return tokens of messages that did not leave."""
    if not rates or count <= 0:
        return
    for name, row in (await _rows(tx, scope, rates, lock=True)).items():
        level = _level(row, rates[name], now)
        row.tokens = min(float(rates[name].capacity), level.tokens + count)
        row.filled_at = level.filled_at


async def levels(tx: ReadTx, scope: Scope, rates: Mapping[str, Rate], *, now: datetime) -> dict[str, Level]:
    """What each bucket holds now, for whoever wants to see."""
    rows = await _rows(tx, scope, rates, lock=False)
    return {
        name: _level(rows[name], rate, now) if name in rows else full(rate, now)
        for name, rate in rates.items()
    }


def _level(row: Bucket, rate: Rate, now: datetime) -> Level:
    return Level(row.tokens, row.filled_at).at(now, rate)


async def _make(tx: WriteTx, scope: Scope, rates: Mapping[str, Rate], now: datetime) -> None:
    """Buckets that are not there yet are made full; two workers may do so at once."""
    known = await _rows(tx, scope, rates, lock=False)
    new = [
        {"tenant_id": scope.tenant_id, "name": name, "tokens": full(rate, now).tokens, "filled_at": now}
        for name, rate in sorted(rates.items())
        if name not in known
    ]
    if new:
        await tx.execute(insert_new(tx, Bucket), new)


async def _rows(tx: ReadTx, scope: Scope, names: Mapping[str, Rate], *, lock: bool) -> dict[str, Bucket]:
    query = owned(Bucket, scope).where(col(Bucket.name).in_(list(names))).order_by(col(Bucket.name))
    if lock and tx.postgres:
        # In the order of their names, so that two workers cannot lock each other out.
        query = query.with_for_update().execution_options(populate_existing=True)
    return {row.name: row for row in await tx.scalars(query)}


async def forget(tx: WriteTx, scope: Scope, *, name: str) -> None:
    """Drop the state of a limit that was changed or removed: it starts full."""
    buckets = sa.delete(Bucket).where(col(Bucket.tenant_id) == scope.tenant_id, col(Bucket.name) == name)
    await tx.execute(buckets)
