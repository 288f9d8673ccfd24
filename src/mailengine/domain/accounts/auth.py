"""From a credential to a `Scope`: passwords, second factors, API keys.

Nobody is known yet when a credential is checked, so these use cases take an `InstanceScope`. Logging in is three
steps, because verifying a password must not hold a transaction: `credential_of` (read), `verify_password` (no
transaction), `log_in` (write). A user with a second factor gets a token instead of a session, and the session for
the token and a code (`log_in_with_code`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Unauthorised
from mailengine.core.ids import TenantId, UserId
from mailengine.core.scope import ROLE_GRANTS, InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit, second_factor, sessions, tokens
from mailengine.domain.accounts.sessions import NewLogin
from mailengine.domain.accounts.tokens import token_hash
from mailengine.domain.accounts.users import UNKNOWN_USER, user_with
from mailengine.mail.address import AddressError
from mailengine.models import ApiKey, Membership, Tenant, TokenKind, User

KEY_PREFIX = "mek_"
_USED_AFTER = timedelta(minutes=15)  # a busy key costs a write now and then, not one a request
_WRONG = "the e-mail address or the password is wrong"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a password is checked against; without a user it fits no password."""

    user_id: UserId | None
    password_hash: str


@dataclass(frozen=True, slots=True)
class KeyLogin:
    """A program that came with a key; `renew` asks the face to call `note_use`."""

    scope: Scope
    renew: bool


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right; `token` and a code of the second factor make the session."""

    token: str


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
    agent: str = "",
) -> NewLogin | CodeNeeded:
    """Begin a session in the given tenant, or in the one the user joined first.

    Raises Unauthorised, with the same words whatever is wrong; also when the password was changed since
    `credential_of` read it.
    """
    member = await _membership(tx, credential, tenant_id) if password_ok else None
    if member is None:
        raise Unauthorised(_WRONG)
    return await admit(tx, instance, member=member, now=now, agent=agent)


async def admit(
    tx: WriteTx, instance: InstanceScope, *, member: Membership, now: datetime, agent: str = ""
) -> NewLogin | CodeNeeded:
    """A session for whoever has shown the first factor, or the question for the second."""
    user = await tx.get(User, member.user_id)
    if user is None or user.totp_since is None:
        return await sessions.begin(tx, instance, member=member, now=now, agent=agent)
    waiting = {"tenant_id": member.tenant_id}
    token = await tokens.issue(
        tx, TokenKind.SECOND_FACTOR, now=now, user_id=UserId(member.user_id), data=waiting
    )
    return CodeNeeded(token)


async def log_in_with_code(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    keyring: Keyring,
    token: str,
    code: str,
    now: datetime,
    agent: str = "",
) -> NewLogin:
    """The session of a user who has shown both factors; raises Unauthorised, and the token is then still good."""
    waiting = await tokens.peek(tx, TokenKind.SECOND_FACTOR, token=token, now=now)
    if waiting is None or waiting.user_id is None:
        raise Unauthorised("the login took too long; start again")
    if not await second_factor.check(tx, keyring=keyring, user_id=waiting.user_id, code=code, now=now):
        raise Unauthorised("the code is wrong or was used already")
    member = await tx.get(Membership, (waiting.data["tenant_id"], waiting.user_id))
    if member is None or await tokens.redeem(tx, TokenKind.SECOND_FACTOR, token=token, now=now) is None:
        raise Unauthorised("the login took too long; start again")
    return await sessions.begin(tx, instance, member=member, now=now, agent=agent)


async def waiting_user(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> UserId | None:
    """Whose code the token waits for."""
    waiting = await tokens.peek(tx, TokenKind.SECOND_FACTOR, token=token, now=now)
    return None if waiting is None else waiting.user_id


async def note_failure(
    tx: WriteTx, instance: InstanceScope, *, user_id: UserId | None, now: datetime, locked: bool = False
) -> None:
    """Tell the user's tenants that somebody failed to log in; for an address without account nobody is told."""
    if user_id is None:
        return
    for member in await memberships_of(tx, instance, user_id=user_id):
        scope = Scope(TenantId(member.tenant_id), "web", frozenset(), instance.request_id, instance.address)
        action = "user.locked" if locked else "user.login-failed"
        await audit.record(tx, scope, action, "user", user_id, now=now)


async def memberships_of(tx: ReadTx, instance: InstanceScope, *, user_id: int) -> list[Membership]:
    """The tenants that a user is in, the oldest first."""
    mine = sa.select(Membership).where(col(Membership.user_id) == user_id)
    return list(await tx.scalars(mine.order_by(col(Membership.tenant_id))))


async def organisations_of(
    tx: ReadTx, instance: InstanceScope, *, user_id: int
) -> list[tuple[int, str, str]]:
    """Id, name and role of the user in each tenant that they are in, by name."""
    rows = await tx.execute(
        sa.select(col(Tenant.id), col(Tenant.name), col(Membership.role))
        .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
        .where(col(Membership.user_id) == user_id)
        .order_by(sa.func.lower(col(Tenant.name)), col(Tenant.id))
    )
    return [(tenant_id or 0, name, role) for tenant_id, name, role in rows]


async def scope_of_key(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> KeyLogin | None:
    """Who comes with an API key; None when it is unknown or was revoked."""
    if not token.startswith(KEY_PREFIX):
        return None
    key = await tx.scalar(
        sa.select(ApiKey).where(col(ApiKey.token_hash) == token_hash(token), col(ApiKey.revoked_at).is_(None))
    )
    if key is None:
        return None
    grants = ROLE_GRANTS[key.role]
    scope = Scope(TenantId(key.tenant_id), f"key:{key.id}", grants, instance.request_id, instance.address)
    return KeyLogin(scope, key.last_used_at is None or now - key.last_used_at > _USED_AFTER)


async def note_use(tx: WriteTx, instance: InstanceScope, *, token: str, now: datetime) -> None:
    """Write down that a key was used."""
    used = sa.update(ApiKey).where(col(ApiKey.token_hash) == token_hash(token))
    await tx.execute(used.values(last_used_at=now).execution_options(synchronize_session=False))


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
