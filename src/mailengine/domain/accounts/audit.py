"""Who did what to which record, when and from where: metadata only, never an e-mail address, a row or a body
(P1-06).

The entry is written in the transaction of the act, so that neither exists without the other.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.models import AuditEntry


class AddressInAudit(AssertionError):
    """A fault of ours: an address was about to be kept for as long as the audit log."""


async def record(
    tx: WriteTx,
    scope: Scope,
    action: str,
    resource: str,
    resource_id: int | None,
    *,
    now: datetime,
    **details: Any,
) -> None:
    """Add an entry; `action` reads like `campaign.launch`. Raises AddressInAudit for a value with an `@`."""
    if _has_address(details):
        raise AddressInAudit(f"the details of {action} hold an e-mail address; give the id instead")
    await tx.execute(
        sa.insert(AuditEntry).values(
            tenant_id=scope.tenant_id,
            at=now,
            actor=scope.actor,
            address=scope.address,
            action=action,
            resource=resource,
            resource_id=resource_id,
            details=details,
        )
    )


def _has_address(value: Any) -> bool:
    match value:
        case str():
            return "@" in value
        case dict():
            return any(_has_address(part) for pair in value.items() for part in pair)
        case list() | tuple() | set() | frozenset():
            return any(_has_address(part) for part in value)
        case _:
            return False
