"""From a credential to a `Scope`: passwords, login sessions, API keys.

Nobody is known yet when a credential is checked, so these use cases take an `InstanceScope`. A token is 256
random bits and the database holds its SHA-256 only: a stolen database logs nobody in, and a guess needs no
slow hash to be hopeless. Logging in is three steps, because verifying a password must not hold a transaction:
`credential_of` (read), `verify_password` (no transaction), `log_in` (write).
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Unauthorised
from mailengine.core.ids import TenantId, UserId
from mailengine.core.scope import ROLE_GRANTS, InstanceScope, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.users import UNKNOWN_USER, user_with
from mailengine.mail.address import AddressError
from mailengine.models import ApiKey, Membership, User, WebSession

SESSION_LENGTH = timedelta(days=14)
_RENEW_AFTER = timedelta(days=1)  # a sliding session costs a write a day, not one a request
KEY_PREFIX = "mek_"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a password is checked against; without a user it fits no password."""

    user_id: UserId | None
    password_hash: str


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A session that has just begun; the only moment at which its token is known."""

    token: str
    csrf_token: str
    expires_at: datetime
    scope: Scope


@dataclass(frozen=True, slots=True)
class Login:
    """A session that a request came with; `renew` asks the face to call `keep_alive`."""

    scope: Scope
    user: User
    csrf_token: str
    renew: bool


def new_token() -> str:
    """43 URL-safe characters, 256 bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


async def credential_of(tx: ReadTx, instance: InstanceScope, *, email: str) -> Credential:
    """The credential for an address; for one that has no account, work that takes as long (no oracle)."""
    try:
        user = await user_with(tx, email=email)
    except AddressError:
        user = None
    if user is None or user.id is None:
        return Credential(None, UNKNOWN_USER)
    return Credential(UserId(user.id), user.password_hash)


async def log_in(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    credential: Credential,
    password_ok: bool,
    now: datetime,
    tenant_id: TenantId | None = None,
) -> NewLogin:
    """Begin a session in the given tenant, or in the one the user joined first.

    Raises Unauthorised, with the same words whatever is wrong; also when the password was changed since
    `credential_of` read it.
    """
    member = await _membership(tx, credential, tenant_id) if password_ok else None
    if member is None:
        raise Unauthorised("the e-mail address or the password is wrong")
    scope = _scope(member.tenant_id, f"user:{member.user_id}", member.role, instance)
    token, csrf_token, expires_at = new_token(), new_token(), now + SESSION_LENGTH
    await tx.execute(
        sa.delete(WebSession).where(
            col(WebSession.user_id) == member.user_id, col(WebSession.expires_at) <= now
        )
    )
    tx.add(
        WebSession(
            token_hash=token_hash(token),
            user_id=member.user_id,
            tenant_id=member.tenant_id,
            csrf_token=csrf_token,
            created_at=now,
            expires_at=expires_at,
        )
    )
    await audit.record(tx, scope, "user.login", "user", member.user_id, now=now)
    return NewLogin(token, csrf_token, expires_at, scope)


async def scope_of_session(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> Login | None:
    """Who is logged in with this token, with today's role; None when it is unknown, expired or void."""
    found = await tx.execute(
        sa.select(WebSession, User, Membership)
        .join(User, col(User.id) == col(WebSession.user_id))
        .join(
            Membership,
            sa.and_(
                col(Membership.user_id) == col(WebSession.user_id),
                col(Membership.tenant_id) == col(WebSession.tenant_id),
            ),
        )
        .where(col(WebSession.token_hash) == token_hash(token), col(WebSession.expires_at) > now)
    )
    row = found.first()
    if row is None:
        return None
    session, user, member = row
    return Login(
        scope=_scope(session.tenant_id, f"user:{user.id}", member.role, instance),
        user=user,
        csrf_token=session.csrf_token,
        renew=session.expires_at - now < SESSION_LENGTH - _RENEW_AFTER,
    )


async def keep_alive(tx: WriteTx, instance: InstanceScope, *, token: str, now: datetime) -> None:
    """Let a session that is in use last another two weeks; one that expired stays expired."""
    await tx.execute(
        sa.update(WebSession)
        .where(col(WebSession.token_hash) == token_hash(token), col(WebSession.expires_at) > now)
        .values(expires_at=now + SESSION_LENGTH)
    )


async def log_out(tx: WriteTx, instance: InstanceScope, *, token: str) -> None:
    """End a session; ending one that is unknown is no error."""
    await tx.execute(sa.delete(WebSession).where(col(WebSession.token_hash) == token_hash(token)))


async def scope_of_key(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> Scope | None:
    """The scope of an API key; None when it is unknown or was revoked."""
    if not token.startswith(KEY_PREFIX):
        return None
    key = await tx.scalar(
        sa.select(ApiKey).where(col(ApiKey.token_hash) == token_hash(token), col(ApiKey.revoked_at).is_(None))
    )
    return None if key is None else _scope(key.tenant_id, f"key:{key.id}", key.role, instance)


async def _membership(tx: ReadTx, credential: Credential, tenant_id: TenantId | None) -> Membership | None:
    query = (
        sa.select(Membership)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(col(User.id) == credential.user_id, col(User.password_hash) == credential.password_hash)
        .order_by(col(Membership.tenant_id))
        .limit(1)
    )
    if tenant_id is not None:
        query = query.where(col(Membership.tenant_id) == tenant_id)
    return await tx.scalar(query)


def _scope(tenant_id: int, actor: str, role: str, instance: InstanceScope) -> Scope:
    return Scope(TenantId(tenant_id), actor, ROLE_GRANTS[role], instance.request_id)
