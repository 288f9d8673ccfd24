"""The kill switch: a row that holds all sending at once, of the installation or of one tenant (P8-02).

It is asked before every message, so it is one small table without owner: key 0 is the installation, any other
key a tenant. Setting it again keeps the first time and takes the new reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.models import KillSwitch, Tenant

_INSTANCE = 0


@dataclass(frozen=True, slots=True)
class KillState:
    """What holds sending now."""

    instance: KillSwitch | None
    tenants: Mapping[int, KillSwitch]

    def holds(self, tenant_id: int) -> bool:
        """Whether this tenant may send nothing."""
        return self.instance is not None or tenant_id in self.tenants


async def state(tx: ReadTx, instance: InstanceScope) -> KillState:
    """All switches that are on."""
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
    key = tenant_id or _INSTANCE
    row = await tx.get(KillSwitch, key)
    if row is None:
        row = KillSwitch(key=key, set_by=actor, set_at=now)
        tx.add(row)
    row.reason = reason[:300]
    await _audit(tx, "kill-switch.on", tenant_id, actor, now)
    return row


async def set_off(
    tx: WriteTx, instance: InstanceScope, *, tenant_id: TenantId | None, actor: str, now: datetime
) -> bool:
    """Let sending go on; False when the switch was not on."""
    row = await tx.get(KillSwitch, tenant_id or _INSTANCE)
    if row is None:
        return False
    await tx.delete(row)
    await _audit(tx, "kill-switch.off", tenant_id, actor, now)
    return True


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
