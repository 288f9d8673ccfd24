"""A list that goes. It stands above the contacts because campaigns and forms refer to lists; who uses one keeps
it, and is named.

Invariants: from the moment that it is deleted nobody finds the list, and its name is free. Who is on it is taken off
after that, a page in each transaction, by whoever deleted it or by the scheduler: doing that twice does no harm. Who
had left it stays known to have left, so that a campaign without lists reaches nobody whom it did not reach before.
"""

from collections.abc import AsyncGenerator
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import TenantId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database, ReadTx, WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.uses import check_unused, uses
from mailengine.domain.contacts.lists import present
from mailengine.models import ContactList, ListMember, MemberState

PAGE = 5_000  # memberships a transaction


async def delete_list(tx: WriteTx, scope: Scope, *, list_id: int, now: datetime) -> ContactList:
    """Raises NotFound, also for another tenant's, and Refused while something uses it. `empty` does the rest."""
    scope.require(Grant.EDIT)
    found = await tx.scalar(present(scope).where(col(ContactList.id) == list_id).with_for_update())
    if found is None:
        raise NotFound(f"there is no list {list_id}")
    check_unused(found.name, await uses(tx, scope, found))
    found.deleted_at = now
    await audit.record(tx, scope, "list.delete", "list", list_id, now=now)
    return found


async def to_empty(tx: ReadTx, _instance: InstanceScope) -> list[tuple[TenantId, int]]:
    """The deleted lists that may still have members, of every tenant."""
    lists = table_of(ContactList).c
    rows = await tx.execute(
        sa.select(lists.tenant_id, lists.id)
        .where(lists.deleted_at.is_not(None), lists.emptied_at.is_(None))
        .order_by(lists.deleted_at)
    )
    return [(TenantId(row.tenant_id), row.id) for row in rows]


async def empty(db: Database, scope: Scope, *, list_id: int, now: datetime) -> AsyncGenerator[int]:
    """Take everybody off a deleted list; yields after each transaction how many it took off."""
    last: int | None = 0
    while last is not None:
        async with db.write(scope) as tx:
            last, removed = await _empty_page(tx, scope, list_id, last, now)
        yield removed


async def _empty_page(
    tx: WriteTx, scope: Scope, list_id: int, after: int, now: datetime
) -> tuple[int | None, int]:
    """The last contact that was looked at, None at the end; and how many were taken off."""
    gone = owned(ContactList, scope).where(
        col(ContactList.id) == list_id, col(ContactList.deleted_at).is_not(None)
    )
    found = await tx.scalar(gone.with_for_update())  # of two who empty it, one does a page at a time
    if found is None:
        return None, 0
    members = table_of(ListMember)
    rest = sa.and_(
        members.c.tenant_id == scope.tenant_id, members.c.list_id == list_id, members.c.contact_id > after
    )
    page = sa.select(members.c.contact_id).where(rest).order_by(members.c.contact_id).limit(PAGE).subquery()
    upto = await tx.scalar(sa.select(sa.func.max(page.c.contact_id)))
    if upto is None:
        found.emptied_at = now
        return None, 0
    left = members.c.state == MemberState.UNSUBSCRIBED
    taken = await tx.execute(sa.delete(members).where(rest, members.c.contact_id <= upto, sa.not_(left)))
    return upto, touched(taken)
