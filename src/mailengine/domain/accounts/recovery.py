"""A forgotten password, a changed password, a changed address. What a token allows, it allows once; whoever knew the
old password is logged out everywhere.

These use cases answer with what must be said by mail; the face sends it. Where an address has no account they
answer None, and the face says and does the same to the visitor as if it had.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.ids import TenantId, UserId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit, sessions, tokens
from mailengine.domain.accounts.sessions import Login, NewLogin
from mailengine.domain.accounts.users import user_with
from mailengine.mail.address import AddressError, parse_address
from mailengine.models import Membership, TokenKind, User

_SECRETS = (TokenKind.RESET_PASSWORD, TokenKind.CHANGE_EMAIL, TokenKind.SECOND_FACTOR)
_GONE = "this link was used already or has expired; ask for another one"


@dataclass(frozen=True, slots=True)
class Letter:
    """A secret to be sent to an address: it leads whoever reads mail there on."""

    email: str
    token: str


async def ask_reset(tx: WriteTx, instance: InstanceScope, *, email: str, now: datetime) -> Letter | None:
    """A token for somebody who forgot the password; None for an address without an account."""
    try:
        user = await user_with(tx, email=email)
    except AddressError:
        return None
    if user is None or user.id is None:
        return None
    token = await tokens.issue(tx, TokenKind.RESET_PASSWORD, now=now, user_id=UserId(user.id))
    await note(tx, instance, "user.reset-asked", user.id, now=now)
    return Letter(user.email, token)


async def address_of_reset(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> str:
    """Whose password the token changes; raises NotFound."""
    found = await tokens.peek(tx, TokenKind.RESET_PASSWORD, token=token, now=now)
    user = None if found is None else await tx.get(User, found.user_id)
    if user is None:
        raise NotFound(_GONE)
    return user.email


async def reset(
    tx: WriteTx, instance: InstanceScope, *, token: str, password_hash: str, now: datetime
) -> str:
    """The new password of whoever holds the token; returns the address, to tell its reader. Raises NotFound."""
    found = await tokens.redeem(tx, TokenKind.RESET_PASSWORD, token=token, now=now)
    user = None if found is None else await tx.get(User, found.user_id)
    if user is None or user.id is None:
        raise NotFound(_GONE)
    await _set(tx, user, password_hash)
    await sessions.end_all(tx, user_id=user.id)
    await note(tx, instance, "user.password-reset", user.id, now=now)
    return user.email


async def change_password(
    tx: WriteTx, instance: InstanceScope, *, login: Login, password_hash: str, now: datetime
) -> NewLogin:
    """Another password for whoever has just shown the old one; other sessions end, this one goes on."""
    user = await tx.get(User, login.user.id)
    if user is None or user.id is None:
        raise NotFound("the account is not there any more")
    await _set(tx, user, password_hash)
    await sessions.end_all(tx, user_id=user.id, keep=login.session_id)
    await note(tx, instance, "user.password", user.id, now=now)
    return await sessions.prove(tx, instance, login=login, now=now)


async def ask_change_email(
    tx: WriteTx, instance: InstanceScope, *, login: Login, email: str, now: datetime
) -> Letter | None:
    """A token for the new address, which changes nothing until it comes back; None where that address has an account:
    who else has one here is not for everybody to know."""
    address = parse_address(email)
    assert login.user.id is not None
    if await user_with(tx, email=address.email) is not None:
        return None
    user_id = UserId(login.user.id)
    await tokens.void(tx, (TokenKind.CHANGE_EMAIL,), user_id=user_id)
    data = {"email": address.email}
    token = await tokens.issue(tx, TokenKind.CHANGE_EMAIL, now=now, user_id=user_id, data=data)
    await note(tx, instance, "user.email-asked", user_id, now=now)
    return Letter(address.email, token)


async def change_email(
    tx: WriteTx, instance: InstanceScope, *, login: Login, token: str, now: datetime
) -> tuple[str, str]:
    """The address that the token was sent to becomes the user's; returns the old and the new one."""
    found = await tokens.redeem(tx, TokenKind.CHANGE_EMAIL, token=token, now=now)
    user = await tx.get(User, login.user.id)
    if found is None or user is None or user.id is None or found.user_id != user.id:
        raise NotFound(_GONE)
    address, before = parse_address(found.data["email"]), user.email
    user.email, user.email_key = address.email, address.key
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict("another account has this address by now") from error
    await tokens.void(tx, _SECRETS, user_id=user.id)
    await note(tx, instance, "user.email", user.id, now=now)
    return before, address.email


async def note(tx: WriteTx, instance: InstanceScope, action: str, user_id: int, *, now: datetime) -> None:
    """Tell every tenant of the user's what happened to the account."""
    for scope in await scopes_of(tx, instance, user_id=user_id):
        await audit.record(tx, scope, action, "user", user_id, now=now)


async def scopes_of(tx: ReadTx, instance: InstanceScope, *, user_id: int) -> list[Scope]:
    """The user's tenants, for their audit logs: a scope without any right."""
    tenants = sa.select(col(Membership.tenant_id)).where(col(Membership.user_id) == user_id)
    return [
        Scope(TenantId(tenant_id), instance.actor, frozenset(), instance.request_id, instance.address)
        for tenant_id in await tx.scalars(tenants.order_by(col(Membership.tenant_id)))
    ]


async def _set(tx: WriteTx, user: User, password_hash: str) -> None:
    assert user.id is not None
    user.password_hash = password_hash
    await tokens.void(tx, _SECRETS, user_id=user.id)
    await tx.flush()
