"""Who is in a tenant and as what: changing a role, leaving, being let go.

Invariants: a tenant keeps an owner; owners are made and dismissed by owners; whoever is given another role logs in
again, so that no session carries on with what it was begun for.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, NotFound
from mailengine.core.scope import ROLE_GRANTS, Grant, Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit, sessions
from mailengine.models import Membership, Role


def check_may_give(scope: Scope, role: Role) -> None:
    """Raises Forbidden for a role that may do more than the actor."""
    scope.require(Grant.MANAGE)
    if not ROLE_GRANTS[role] <= scope.grants:
        raise Forbidden(f"only an owner makes somebody {role.value}")


async def change_role(tx: WriteTx, scope: Scope, *, user_id: int, role: Role, now: datetime) -> Membership:
    """Give a member another role; ends their sessions in the tenant. The same role again changes nothing."""
    check_may_give(scope, role)
    member = await _member(tx, scope, user_id)
    if member.role == role:
        return member
    await _check_may_touch(tx, scope, member)
    before, member.role = member.role, role
    await sessions.end_all(tx, user_id=user_id, tenant_id=scope.tenant_id)
    await audit.record(tx, scope, "user.role", "user", user_id, now=now, before=before, after=role.value)
    return member


async def remove(tx: WriteTx, scope: Scope, *, user_id: int, now: datetime) -> None:
    """Take somebody's access to the tenant away at once; the account stays, for other tenants."""
    scope.require(Grant.MANAGE)
    await _drop(tx, scope, await _member(tx, scope, user_id), "user.remove", now)


async def leave(tx: WriteTx, scope: Scope, *, user_id: int, now: datetime) -> None:
    """Go by oneself; raises Conflict for the last owner."""
    member = await _member(tx, scope, user_id)
    await _check_owner_stays(tx, scope, member)
    await _drop_row(tx, scope, member, "user.leave", now)


async def _drop(tx: WriteTx, scope: Scope, member: Membership, action: str, now: datetime) -> None:
    await _check_may_touch(tx, scope, member)
    await _drop_row(tx, scope, member, action, now)


async def _drop_row(tx: WriteTx, scope: Scope, member: Membership, action: str, now: datetime) -> None:
    await tx.delete(member)
    await sessions.end_all(tx, user_id=member.user_id, tenant_id=scope.tenant_id)
    await audit.record(tx, scope, action, "user", member.user_id, now=now, role=member.role)


async def _member(tx: WriteTx, scope: Scope, user_id: int) -> Membership:
    query = owned(Membership, scope).where(col(Membership.user_id) == user_id)
    member = await tx.scalar(query.with_for_update() if tx.postgres else query)
    if member is None:
        raise NotFound("there is no such user in this organisation")
    return member


async def _check_may_touch(tx: WriteTx, scope: Scope, member: Membership) -> None:
    if member.role == Role.OWNER and Grant.OWN not in scope.grants:
        raise Forbidden("only an owner changes or removes an owner")
    await _check_owner_stays(tx, scope, member)


async def _check_owner_stays(tx: WriteTx, scope: Scope, member: Membership) -> None:
    """Locks the owners, so that two of them cannot dismiss each other at the same moment."""
    if member.role != Role.OWNER:
        return
    owners = sa.select(col(Membership.user_id)).where(
        tenant_of(Membership) == scope.tenant_id, col(Membership.role) == Role.OWNER
    )
    rows = (await tx.scalars(owners.with_for_update() if tx.postgres else owners)).all()
    if len(rows) < 2:
        raise Conflict("an organisation needs an owner; make somebody else one first")
