"""Who a user is at an identity provider: found by issuer and subject, tied by a confirmed address.

An address ties an identity to an account only where both sides vouch for it: the provider says that it is confirmed,
and every account here has an address that its owner confirmed or the operator gave. From then on the subject counts
alone, so that whoever gets the address later gets no account.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Unauthorised
from mailengine.core.scope import InstanceScope
from mailengine.db.insert import insert_new
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import recovery
from mailengine.domain.accounts.openid.provider import Claims
from mailengine.domain.accounts.users import user_with
from mailengine.mail.address import AddressError
from mailengine.models import Identity, Membership, User


async def find(tx: ReadTx, instance: InstanceScope, *, claims: Claims) -> User | None:
    """The user that the identity was tied to."""
    return await tx.scalar(
        sa.select(User)
        .join(Identity, col(Identity.user_id) == col(User.id))
        .where(col(Identity.issuer) == claims.issuer, col(Identity.subject) == claims.subject)
    )


async def find_or_tie(tx: WriteTx, instance: InstanceScope, *, claims: Claims, now: datetime) -> User:
    """The user of the identity, tied now if the address fits; raises Unauthorised for a stranger."""
    user = await find(tx, instance, claims=claims)
    if user is not None:
        return user
    user = await _with_address(tx, claims.email)
    if user is None or user.id is None:
        raise Unauthorised(
            "there is no account for you here; ask for an invitation to the address of your login"
        )
    await tie(tx, instance, user_id=user.id, issuer=claims.issuer, subject=claims.subject, now=now)
    return user


async def tie(
    tx: WriteTx, instance: InstanceScope, *, user_id: int, issuer: str, subject: str, now: datetime
) -> None:
    """Let whoever is `subject` at the issuer be the user; raises Unauthorised when they are another one."""
    row = {"user_id": user_id, "issuer": issuer, "subject": subject, "created_at": now}
    await tx.execute(insert_new(tx, Identity), row)
    owner = sa.select(col(Identity.user_id)).where(
        col(Identity.issuer) == issuer, col(Identity.subject) == subject
    )
    if await tx.scalar(owner) != user_id:
        raise Unauthorised("this identity belongs to another account")
    await recovery.note(tx, instance, "user.identity", user_id, now=now)


async def membership(
    tx: ReadTx, instance: InstanceScope, *, user_id: int, tenant_id: int | None = None
) -> Membership | None:
    """Where the user works: in the given tenant, else in the oldest of theirs."""
    query = sa.select(Membership).where(col(Membership.user_id) == user_id)
    if tenant_id is not None:
        query = query.where(col(Membership.tenant_id) == tenant_id)
    return await tx.scalar(query.order_by(col(Membership.tenant_id)).limit(1))


async def _with_address(tx: ReadTx, email: str) -> User | None:
    try:
        return await user_with(tx, email=email) if email else None
    except AddressError:
        return None
