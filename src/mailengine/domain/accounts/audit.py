"""Who did what to which record, when and from where: metadata only, never an e-mail address, a row or a body
(P1-06).

The entry is written in the transaction of the act, so that neither exists without the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
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
    await record_all(tx, scope, action, resource, [resource_id], now=now, **details)


async def record_all(
    tx: WriteTx,
    scope: Scope,
    action: str,
    resource: str,
    resource_ids: Sequence[int | None],
    *,
    now: datetime,
    **details: Any,
) -> None:
    """The same act on many records, an entry each."""
    if _has_address(details):
        raise AddressInAudit(f"the details of {action} hold an e-mail address; give the id instead")
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "at": now,
            "actor": scope.actor,
            "address": scope.address,
            "action": action,
            "resource": resource,
            "resource_id": resource_id,
            "details": details,
        }
        for resource_id in resource_ids
    ]
    await tx.execute(sa.insert(AuditEntry), rows)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to list; None is any. `action` may end in `.*`: all that was done to one kind of thing."""

    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    resource_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_(
    tx: ReadTx, scope: Scope, *, page: PageRequest, wanted: Wanted | None = None
) -> Page[AuditEntry]:
    """Newest first; for those who manage the tenant."""
    scope.require(Grant.MANAGE)
    query, wanted = owned(AuditEntry, scope), wanted or Wanted()
    if wanted.action is not None and wanted.action.endswith(".*"):
        prefix = wanted.action[:-1]
        query = query.where(col(AuditEntry.action) >= prefix, col(AuditEntry.action) < prefix + chr(0x10FFFF))
    elif wanted.action is not None:
        query = query.where(col(AuditEntry.action) == wanted.action)
    for name in ("actor", "resource", "resource_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(col(getattr(AuditEntry, name)) == value)
    if wanted.since is not None:
        query = query.where(col(AuditEntry.at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(AuditEntry.at) < wanted.until)
    return await keyset_page(tx, query, col(AuditEntry.id), page, newest_first=True)


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
