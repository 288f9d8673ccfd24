"""The limits of a tenant, and which of them concern a message.

A limit is for all the tenant sends, for one relay, or for a provider group or domain of recipients. What holds
at a moment (`rules_of`) is the limits that were set and the warm-ups that run, each with the name of its bucket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.limits.warm_up import list_warm_ups, rate_on
from mailengine.domain.delivery.provider_groups import GROUPS
from mailengine.domain.senders.domains import check_domain
from mailengine.models import Limit, LimitScope, Period, WarmUp, WarmUpScope


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a tenant now: bucket name → rate, by what it concerns."""

    tenant: Mapping[str, Rate] = field(default_factory=dict)
    relays: Mapping[int, Mapping[str, Rate]] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)  # sending domains
    providers: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)  # group or recipient's domain

    def for_batch(self, *, relay_id: int, sending_domain: str) -> dict[str, Rate]:
        """The buckets that every message of a batch takes from."""
        return {
            **self.tenant,
            **self.relays.get(relay_id, {}),
            **self.domains.get(sending_domain, {}),
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """The rows that rules are made of, read once."""

    limits: Sequence[Limit]
    warm_ups: Sequence[WarmUp]

    def rules_at(self, moment: datetime) -> Rules:
        """What holds then; a warm-up's rate changes with the days."""
        parts: dict[str, dict[str, dict[str, Rate]]] = {
            kind.value: {} for kind in (*LimitScope, *WarmUpScope)
        }
        for row in self.limits:
            name = bucket_name(LimitScope(row.scope), row.target, Period(row.period))
            parts[row.scope].setdefault(row.target, {})[name] = rate_of(row)
        for warm_up in self.warm_ups:
            rate = rate_on(WarmUpScope(warm_up.scope), warm_up.started_at, moment)
            if rate is not None:
                name = f"warm-up:{warm_up.scope}:{warm_up.target}"
                parts[warm_up.scope].setdefault(warm_up.target, {})[name] = rate
        return Rules(
            tenant=parts["tenant"].get("", {}),
            relays={int(target): rates for target, rates in parts["relay"].items()},
            domains=parts["domain"],
            providers=parts["provider"],
        )


async def read_settings(tx: ReadTx, scope: Scope) -> Settings:
    return Settings(await list_limits(tx, scope), await list_warm_ups(tx, scope))


async def rules_of(tx: ReadTx, scope: Scope, *, now: datetime) -> Rules:
    """All that limits a tenant at this moment."""
    if not await _limited().rows(tx, {"tenant": scope.tenant_id}):  # most are not, and each claim asks
        return Rules()
    return (await read_settings(tx, scope)).rules_at(now)


@cache
def _limited() -> Prepared:
    """A row for a tenant with a limit or a warm-up."""
    asked: list[sa.Select[Any]] = [
        sa.select(sa.literal_column("1")).where(tenant_of(model) == sa.bindparam("tenant"))
        for model in (Limit, WarmUp)
    ]
    return Prepared(sa.union_all(*asked))


async def set_limit(
    tx: WriteTx, scope: Scope, *, kind: LimitScope, target: str, rate: Rate, now: datetime
) -> Limit:
    """Set or replace the limit of one scope, target and period."""
    scope.require(Grant.MANAGE)
    if (kind is LimitScope.TENANT) != (target == ""):
        raise InvalidInput("a limit of a relay or provider needs its name, one of the tenant has none")
    row = await tx.scalar(_one(scope, kind, target, rate.period))
    if row is None:
        row = Limit(
            tenant_id=scope.tenant_id,
            scope=kind,
            target=target,
            amount=rate.amount,
            period=rate.period,
            created_at=now,
        )
        tx.add(row)
    row.amount = rate.amount
    await tx.flush()
    await buckets.forget(tx, scope, name=bucket_name(kind, target, rate.period))
    await audit.record(tx, scope, "limit.set", "limit", row.id, now=now, kind=kind.value, rate=str(rate))
    return row


async def remove_limit(
    tx: WriteTx, scope: Scope, *, kind: LimitScope, target: str, period: Period, now: datetime
) -> None:
    """Raises NotFound."""
    scope.require(Grant.MANAGE)
    row = await tx.scalar(_one(scope, kind, target, period))
    if row is None:
        raise NotFound(f"there is no limit a {period.value} for this {kind.value}")
    await tx.delete(row)
    await buckets.forget(tx, scope, name=bucket_name(kind, target, period))
    await audit.record(tx, scope, "limit.remove", "limit", row.id, now=now, kind=kind.value)


async def list_limits(tx: ReadTx, scope: Scope) -> Sequence[Limit]:
    return (await tx.scalars(owned(Limit, scope).order_by(col(Limit.id)))).all()


async def get_limit(tx: ReadTx, scope: Scope, *, limit_id: int) -> Limit:
    """Raises NotFound, also for another tenant's."""
    row = await tx.scalar(owned(Limit, scope).where(col(Limit.id) == limit_id))
    if row is None:
        raise NotFound(f"there is no limit {limit_id}")
    return row


def provider_of(text: str) -> str:
    """A provider group's name, or a domain in A-labels; raises InvalidInput."""
    name = text.strip().lower()
    return name if name in GROUPS else check_domain(name)


def rate_of(row: Limit) -> Rate:
    return Rate(row.amount, Period(row.period))


def bucket_name(kind: LimitScope, target: str, period: Period) -> str:
    return f"{kind.value}:{target}:{period.value}"


def _one(scope: Scope, kind: LimitScope, target: str, period: Period) -> sa.Select[Limit]:
    return owned(Limit, scope).where(
        col(Limit.scope) == kind, col(Limit.target) == target, col(Limit.period) == period
    )
