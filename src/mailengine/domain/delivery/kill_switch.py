"""The kill switch: a row that holds all sending at once, of the installation or of one tenant (P8-02).

It is asked before every message, so it is one small table without owner: key 0 is the installation, any other
key a tenant. Setting it again keeps the first time and takes the new reason. Two people may press it at the same
moment: neither gets an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import TenantId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.insert import insert_into
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.models import KillSwitch, Tenant

MAX_REASON = 300
_INSTANCE = 0
_ANY_ON = Prepared(sa.select(table_of(KillSwitch).c.key).limit(1))


@dataclass(frozen=True, slots=True)
class KillState:
    """What holds sending now."""

    instance: KillSwitch | None
    tenants: Mapping[int, KillSwitch]

    def holds(self, tenant_id: int) -> bool:
        """Whether this tenant may send nothing."""
        return self.instance is not None or tenant_id in self.tenants


@dataclass(frozen=True, slots=True)
class OwnState:
    """What holds one tenant: its own switch, the installation's, both or none."""

    tenant: KillSwitch | None
    instance: KillSwitch | None


async def state(tx: ReadTx, instance: InstanceScope) -> KillState:
    """All switches that are on."""
    if not await _ANY_ON.rows(tx, {}):  # nearly always, and asked ten times a second
        return KillState(None, {})
    rows = {row.key: row for row in await tx.scalars(sa.select(KillSwitch))}
    return KillState(rows.pop(_INSTANCE, None), rows)


async def set_on(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    tenant_id: TenantId | None,
    reason: str,
    actor: str,
    now: datetime,
) -> KillSwitch:
    """Hold sending, of every tenant when `tenant_id` is None."""
    row = await _set(tx, tenant_id or _INSTANCE, reason, actor, now)
    await _audit(tx, "kill-switch.on", tenant_id, actor, now)
    return row


async def set_off(
    tx: WriteTx, instance: InstanceScope, *, tenant_id: TenantId | None, actor: str, now: datetime
) -> bool:
    """Let sending go on; False when the switch was not on."""
    was_on = await _unset(tx, tenant_id or _INSTANCE)
    if was_on:
        await _audit(tx, "kill-switch.off", tenant_id, actor, now)
    return was_on


async def of_tenant(tx: ReadTx, scope: Scope) -> OwnState:
    """What holds the tenant's sending now."""
    query = sa.select(KillSwitch).where(col(KillSwitch.key).in_((_INSTANCE, int(scope.tenant_id))))
    rows = {row.key: row for row in await tx.scalars(query)}
    return OwnState(rows.get(int(scope.tenant_id)), rows.get(_INSTANCE))


async def stop(tx: WriteTx, scope: Scope, *, reason: str, now: datetime) -> None:
    """Hold the tenant's sending; the installation's switch is its operator's."""
    scope.require(Grant.SEND)
    await _set(tx, int(scope.tenant_id), reason, scope.actor, now)
    await audit.record(tx, scope, "kill-switch.on", "kill_switch", None, now=now, installation=False)


async def resume(tx: WriteTx, scope: Scope, *, now: datetime) -> bool:
    """Let the tenant's sending go on; False when its switch was not on."""
    scope.require(Grant.SEND)
    was_on = await _unset(tx, int(scope.tenant_id))
    if was_on:
        await audit.record(tx, scope, "kill-switch.off", "kill_switch", None, now=now, installation=False)
    return was_on


async def _set(tx: WriteTx, key: int, reason: str, actor: str, now: datetime) -> KillSwitch:
    words = reason.strip()[:MAX_REASON]
    insert = insert_into(tx, KillSwitch).values(key=key, reason=words, set_by=actor, set_at=now)
    await tx.execute(insert.on_conflict_do_update(index_elements=["key"], set_={"reason": words}))
    chosen = sa.select(KillSwitch).where(col(KillSwitch.key) == key)
    return (await tx.scalars(chosen.execution_options(populate_existing=True))).one()


async def _unset(tx: WriteTx, key: int) -> bool:
    gone = sa.delete(KillSwitch).where(col(KillSwitch.key) == key).returning(col(KillSwitch.key))
    return (await tx.scalars(gone)).first() is not None


async def _audit(tx: WriteTx, action: str, tenant_id: TenantId | None, actor: str, now: datetime) -> None:
    """One entry in the log of every tenant that it concerns."""
    concerned = [int(tenant_id)] if tenant_id is not None else await _tenant_ids(tx)
    whole = tenant_id is None
    for found in concerned:
        await audit.record(
            tx, Scope(TenantId(found), actor), action, "kill_switch", None, now=now, installation=whole
        )


async def _tenant_ids(tx: ReadTx) -> list[int]:
    ids = await tx.scalars(sa.select(col(Tenant.id)).order_by(col(Tenant.id)))
    return [found for found in ids if found is not None]
