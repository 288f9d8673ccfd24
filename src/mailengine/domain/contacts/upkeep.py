"""How a tenant keeps its contacts clean, and what it knows of them how long: one row, or the defaults."""

from dataclasses import dataclass, fields, replace
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.models import Tenant, Upkeep

_MOST_DAYS = 3650
LEAST_EVENT_DAYS = 30  # figures of a campaign are counted from its events while it is young


@dataclass(frozen=True, slots=True)
class Rules:
    """P5-08 as it is asked for. `quiet_days` and `inactive_days` count from the last sign of life; None keeps for
    ever."""

    hygiene: bool = True
    bounces: int = 3
    bounce_days: int = 30
    quiet_days: int = 182
    inactive_days: int = 365
    keep_events_days: int | None = None
    keep_audit_days: int | None = None


def checked(rules: Rules) -> Rules:
    """Raises InvalidInput for rules that make no sense together."""
    if not 1 <= rules.bounces <= 100:
        raise InvalidInput("bounces must be 1 to 100")
    if not 1 <= rules.bounce_days <= _MOST_DAYS:
        raise InvalidInput(f"bounce days must be 1 to {_MOST_DAYS}")
    if not 1 <= rules.quiet_days < rules.inactive_days <= _MOST_DAYS:
        raise InvalidInput(f"quiet days must be fewer than inactive days, and both 1 to {_MOST_DAYS}")
    for name in ("keep_events_days", "keep_audit_days"):
        days = getattr(rules, name)
        if days is not None and not LEAST_EVENT_DAYS <= days <= _MOST_DAYS:
            raise InvalidInput(
                f"{name.replace('_', ' ')} must be {LEAST_EVENT_DAYS} to {_MOST_DAYS}, or for ever"
            )
    return rules


async def rules_of(tx: ReadTx, scope: Scope) -> Rules:
    row = await tx.scalar(owned(Upkeep, scope))
    return Rules() if row is None else Rules(**{part.name: getattr(row, part.name) for part in fields(Rules)})


async def change(tx: WriteTx, scope: Scope, *, now: datetime, **changes: bool | int | None) -> Rules:
    """Set what is given; raises InvalidInput."""
    scope.require(Grant.MANAGE)
    old = await rules_of(tx, scope)
    rules = checked(replace(old, **changes))  # type: ignore[arg-type]  # faces give the fields' own types
    values = {part.name: getattr(rules, part.name) for part in fields(Rules)}
    table = table_of(Upkeep)
    await tx.execute(sa.delete(table).where(tenant_of(Upkeep) == scope.tenant_id))
    await tx.execute(sa.insert(table).values(tenant_id=scope.tenant_id, **values))
    changed = {name: value for name, value in values.items() if value != getattr(old, name)}
    await audit.record(tx, scope, "upkeep.change", "tenant", scope.tenant_id, now=now, **changed)
    return rules


async def all_tenants(tx: ReadTx, _instance: InstanceScope) -> list[int]:
    """Whom the daily rules concern."""
    rows = await tx.scalars(sa.select(table_of(Tenant).c.id).order_by(table_of(Tenant).c.id))
    return list(rows)
