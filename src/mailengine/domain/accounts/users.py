"""People who can log in, and what they may do in which tenant.

Hashing takes tens of milliseconds of CPU by design: callers hash before they open a transaction.
"""

import base64
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.ids import TenantId
from mailengine.core.scope import ROLE_GRANTS, AnyScope, Grant, InstanceScope, Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.mail.address import parse_address
from mailengine.models import AccountToken, Membership, Role, User, WebSession

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 1000  # hashing a megabyte of password is work that an attacker gets for free

COST = RFC_9106_LOW_MEMORY  # section 4, second recommended option: 64 MiB, three passes, four lanes
_hasher = PasswordHasher.from_parameters(COST)


@dataclass(frozen=True, slots=True)
class Member:
    """A user as one tenant sees them."""

    user_id: int
    email: str
    role: str
    created_at: datetime


def check_password(password: str, *, email: str) -> str:
    """The password, when it is good enough; raises InvalidInput."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidInput(
            f"the password must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
        )
    if password.casefold() == email.strip().casefold():
        raise InvalidInput("the password must not be the e-mail address")
    return password


async def hash_password(password: str) -> str:
    """An Argon2id hash (RFC 9106), made in a thread."""
    return await to_thread.run_sync(_hasher.hash, password)


async def verify_password(password_hash: str, password: str) -> bool:
    """Whether the password made the hash; takes as long for `UNKNOWN_USER` as for a real one."""
    if len(password) > MAX_PASSWORD_LENGTH:
        return False
    return await to_thread.run_sync(_matches, password_hash, password)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _unmatchable() -> str:
    """A hash that costs what real ones cost and that no password is known to have: all its digest is zero."""
    salt, digest = (
        base64.b64encode(bytes(size)).decode().rstrip("=") for size in (COST.salt_len, COST.hash_len)
    )
    return f"$argon2id$v={COST.version}$m={COST.memory_cost},t={COST.time_cost},p={COST.parallelism}${salt}${digest}"


UNKNOWN_USER = _unmatchable()


async def create_user(tx: WriteTx, scope: AnyScope, *, email: str, password_hash: str, now: datetime) -> User:
    """Add a person who can log in; raises Conflict when the address has an account already."""
    if isinstance(scope, Scope):
        scope.require(Grant.MANAGE)
    address = parse_address(email)
    user = User(email=address.email, email_key=address.key, password_hash=password_hash, created_at=now)
    tx.add(user)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is already a user with the address {address.email}") from error
    return user


async def user_with(tx: ReadTx, *, email: str) -> User | None:
    """The user with this address, in any spelling of it."""
    key = parse_address(email).key
    return await tx.scalar(sa.select(User).where(col(User.email_key) == key))


async def find_user(tx: ReadTx, instance: InstanceScope, *, email: str) -> User:
    """The user with this address; raises NotFound."""
    user = await user_with(tx, email=email)
    if user is None:
        raise NotFound(f"there is no user with the address {email}")
    return user


async def add_member(
    tx: WriteTx, scope: Scope, *, user_id: int, role: Role = Role.EDITOR, now: datetime
) -> Membership:
    """Let a user into the scope's tenant; raises Conflict when they are in it."""
    scope.require(Grant.MANAGE)
    if not ROLE_GRANTS[role] <= scope.grants:
        raise Forbidden(f"only an owner makes somebody {role.value}")
    member = Membership(tenant_id=scope.tenant_id, user_id=user_id, role=role)
    tx.add(member)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict("this user is already a member of the tenant") from error
    await audit.record(tx, scope, "user.add", "user", user_id, now=now, role=str(role))
    return member


async def list_members(tx: ReadTx, scope: Scope, *, text: str = "", role: Role | None = None) -> list[Member]:
    """Everybody who may log in to the tenant, by address; `text` restricts to addresses that hold it."""
    chosen = [tenant_of(Membership) == scope.tenant_id]
    if text:
        chosen.append(col(User.email).icontains(text, autoescape=True))
    if role is not None:
        chosen.append(col(Membership.role) == role)
    rows = await tx.execute(
        sa.select(col(Membership.user_id), col(User.email), col(Membership.role), col(User.created_at))
        .join(Membership, col(Membership.user_id) == col(User.id))
        .where(*chosen)
        .order_by(col(User.email_key))
    )
    return [Member(*row) for row in rows]


async def set_password(
    tx: WriteTx, instance: InstanceScope, *, email: str, password_hash: str, now: datetime
) -> User:
    """Give a user another password and end all their sessions and open links, for whoever knew the old one."""
    user = await find_user(tx, instance, email=email)
    assert user.id is not None
    user.password_hash = password_hash
    await tx.execute(sa.delete(WebSession).where(col(WebSession.user_id) == user.id))
    await tx.execute(sa.delete(AccountToken).where(col(AccountToken.user_id) == user.id))
    tenants = await tx.scalars(sa.select(tenant_of(Membership)).where(col(Membership.user_id) == user.id))
    for tenant_id in tenants:
        await audit.record(
            tx, Scope(TenantId(tenant_id), instance.actor), "user.password", "user", user.id, now=now
        )
    return user
