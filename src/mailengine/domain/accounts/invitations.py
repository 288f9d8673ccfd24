"""Invitations: an offer to join a tenant, sent to an address, good for a week and once.

Whoever redeems the token reads mail at the address, so an account made by it has a confirmed address. It is shown
to nobody but the mail's reader (and the operator at the command line): an administrator who saw it could make an
account in somebody else's name.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound, Unauthorised
from mailengine.core.ids import TenantId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.members import check_may_give
from mailengine.domain.accounts.tokens import new_token, token_hash
from mailengine.domain.accounts.users import create_user, user_with
from mailengine.mail.address import parse_address
from mailengine.models import Invitation, Membership, Role, Tenant, User

LIFETIME = timedelta(days=7)
_GONE = "this invitation was used, withdrawn or has expired; ask for another one"


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation that was just made; the only moment at which its token is known."""

    invitation: Invitation
    token: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What the reader of an invitation is asked; `user_id` is None when the address has no account yet."""

    organisation: str
    email: str
    role: str
    user_id: int | None


async def invite(tx: WriteTx, scope: Scope, *, email: str, role: Role, now: datetime) -> NewInvitation:
    """Offer a place; another offer to the same address replaces the first. Raises Conflict for a member."""
    check_may_give(scope, role)
    address = parse_address(email)
    await _check_no_member(tx, scope, address.email)
    await tx.execute(
        sa.delete(Invitation).where(
            tenant_of(Invitation) == scope.tenant_id, col(Invitation.email_key) == address.key
        )
    )
    token = new_token()
    invitation = Invitation(
        tenant_id=scope.tenant_id,
        email=address.email,
        email_key=address.key,
        role=role,
        token_hash=token_hash(token),
        invited_by=scope.actor,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    tx.add(invitation)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"somebody else invites {address.email} at this moment") from error
    await audit.record(tx, scope, "invitation.create", "invitation", invitation.id, now=now, role=role.value)
    return NewInvitation(invitation, token)


async def list_invitations(tx: ReadTx, scope: Scope, *, now: datetime) -> list[Invitation]:
    """Those that can still be accepted, the newest first."""
    scope.require(Grant.MANAGE)
    rows = owned(Invitation, scope).where(col(Invitation.expires_at) > now)
    return list(await tx.scalars(rows.order_by(col(Invitation.id).desc())))


async def withdraw(tx: WriteTx, scope: Scope, *, invitation_id: int, now: datetime) -> None:
    """Take an offer back."""
    scope.require(Grant.MANAGE)
    gone = sa.delete(Invitation).where(
        tenant_of(Invitation) == scope.tenant_id, col(Invitation.id) == invitation_id
    )
    if await tx.scalar(gone.returning(col(Invitation.id))) is None:
        raise NotFound("there is no such invitation; it may have been used")
    await audit.record(tx, scope, "invitation.withdraw", "invitation", invitation_id, now=now)


async def offer_of(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> Offer:
    """What the token offers; raises NotFound."""
    invitation = await _live(tx, token, now)
    tenant = await tx.get(Tenant, invitation.tenant_id)
    assert tenant is not None
    user = await user_with(tx, email=invitation.email)
    return Offer(tenant.name, invitation.email, invitation.role, user.id if user else None)


async def accept(
    tx: WriteTx, instance: InstanceScope, *, token: str, user: User, now: datetime
) -> Membership:
    """A user whose address was invited joins; raises Unauthorised for anybody else."""
    invitation = await _live(tx, token, now)
    if user.email_key != invitation.email_key or user.id is None:
        raise Unauthorised("this invitation is for another address; log in with that one")
    return await _join(tx, instance, invitation, user.id, now)


async def accept_as_new(
    tx: WriteTx, instance: InstanceScope, *, token: str, password_hash: str, now: datetime
) -> Membership:
    """Whoever has no account yet gets one with the invited address, and joins."""
    invitation = await _live(tx, token, now)
    user = await create_user(tx, instance, email=invitation.email, password_hash=password_hash, now=now)
    assert user.id is not None
    return await _join(tx, instance, invitation, user.id, now)


async def _join(
    tx: WriteTx, instance: InstanceScope, invitation: Invitation, user_id: int, now: datetime
) -> Membership:
    used = sa.delete(Invitation).where(col(Invitation.id) == invitation.id).returning(col(Invitation.id))
    if await tx.scalar(used) is None:
        raise NotFound(_GONE)
    if await tx.get(Membership, (invitation.tenant_id, user_id)) is not None:
        raise Conflict("you are a member of this organisation already")
    member = Membership(tenant_id=invitation.tenant_id, user_id=user_id, role=invitation.role)
    tx.add(member)
    await tx.flush()
    scope = Scope(
        TenantId(invitation.tenant_id), f"user:{user_id}", frozenset(), instance.request_id, instance.address
    )
    await audit.record(tx, scope, "invitation.accept", "user", user_id, now=now, role=invitation.role)
    return member


async def _live(tx: ReadTx, token: str, now: datetime) -> Invitation:
    chosen = (col(Invitation.token_hash) == token_hash(token), col(Invitation.expires_at) > now)
    invitation = await tx.scalar(sa.select(Invitation).where(*chosen))
    if invitation is None:
        raise NotFound(_GONE)
    return invitation


async def _check_no_member(tx: ReadTx, scope: Scope, email: str) -> None:
    user = await user_with(tx, email=email)
    if user is None:
        return
    member = owned(Membership, scope).where(col(Membership.user_id) == user.id)
    if await tx.scalar(member) is not None:
        raise Conflict("there is a member with this address already")
