"""The first tenant and its owner: what turns an empty database into an installation.

While there is no user, whoever holds the token that the operator was shown may make the first one; the tokens are
worthless from then on. The oldest tenant is the operator's: its owner sets what concerns the whole installation.
"""

from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.insert import insert_new
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit, tokens
from mailengine.domain.accounts.tenants import TenantDetails, create_tenant, get_tenant, scope_in
from mailengine.domain.accounts.users import add_member, create_user
from mailengine.models import AccountToken, Installation, Membership, Role, Tenant, TokenKind, User


async def create_owned_tenant(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    details: TenantDetails,
    email: str,
    password_hash: str,
    now: datetime,
) -> Tenant:
    """Create a tenant together with the user who owns it."""
    tenant = await create_tenant(
        tx,
        instance,
        name=details.name,
        country=details.country,
        postal_address=details.postal_address,
        slug=details.slug,
        now=now,
    )
    owner = await create_user(tx, instance, email=email, password_hash=password_hash, now=now)
    assert owner.id is not None
    await add_member(tx, scope_in(tenant, instance), user_id=owner.id, role=Role.OWNER, now=now)
    return tenant


async def setup_token(tx: WriteTx, instance: InstanceScope, *, now: datetime) -> str | None:
    """A token that makes the first user; None once there is one."""
    if await _has_user(tx):
        return None
    return await tokens.issue(tx, TokenKind.SETUP, now=now)


async def only_setup_token(tx: WriteTx, instance: InstanceScope, *, now: datetime) -> str:
    """A token that makes the first user, and no other one does any more; raises Conflict once there is a user."""
    await _one_at_a_time(tx)
    await _void_setup_tokens(tx)
    token = await setup_token(tx, instance, now=now)
    if token is None:
        raise Conflict("somebody can log in already: log in, or add a person with `mailengine user add`")
    return token


async def unclaimed(tx: ReadTx, instance: InstanceScope) -> bool:
    """Whether nobody can log in yet."""
    return not await _has_user(tx)


async def setup_open(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> bool:
    """Whether the token still makes the first user."""
    return await tokens.peek(tx, TokenKind.SETUP, token=token, now=now) is not None and not await _has_user(
        tx
    )


async def first_tenant(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    token: str,
    details: TenantDetails,
    email: str,
    password_hash: str,
    now: datetime,
) -> Membership:
    """What the first visitor makes: the organisation and its owner. Raises NotFound when somebody was faster."""
    await _one_at_a_time(tx)
    found = await tokens.redeem(tx, TokenKind.SETUP, token=token, now=now)
    if found is None or await _has_user(tx):
        raise NotFound("this link has expired or the installation has a user already; log in instead")
    tenant = await create_owned_tenant(
        tx, instance, details=details, email=email, password_hash=password_hash, now=now
    )
    await _void_setup_tokens(tx)
    member = await tx.scalar(sa.select(Membership).where(col(Membership.tenant_id) == tenant.id))
    assert member is not None
    return member


async def finish(tx: WriteTx, scope: Scope, *, now: datetime) -> None:
    """The first steps are done, or left out on purpose: they are not offered again."""
    scope.require(Grant.MANAGE)
    tenant = await get_tenant(tx, scope)
    if tenant.onboarded_at is None:
        tenant.onboarded_at = now
        await audit.record(tx, scope, "tenant.onboarded", "tenant", tenant.id, now=now)


def check_base_url(text: str) -> str:
    """The root of all links, without a slash at its end; raises InvalidInput."""
    url = text.strip().rstrip("/")
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 500
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise InvalidInput("the base URL must look like https://news.example.org")
    if parts.query or parts.fragment:
        raise InvalidInput("the base URL ends with its host or path: no ? and no #")
    return url


async def base_url(tx: ReadTx, instance: InstanceScope) -> str:
    """The base URL that the first steps stored; empty when none was."""
    return await tx.scalar(sa.select(col(Installation.base_url))) or ""


async def set_base_url(tx: WriteTx, scope: Scope, *, url: str, now: datetime) -> str:
    """Store where people reach the installation; raises Forbidden for all but an owner of the oldest tenant."""
    scope.require(Grant.OWN)
    if scope.tenant_id != await oldest_tenant(tx):
        raise Forbidden("only an owner of the installation's first organisation sets its base URL")
    checked = check_base_url(url)
    await tx.execute(insert_new(tx, Installation), {"id": 1, "base_url": checked})
    await tx.execute(sa.update(Installation).values(base_url=checked))
    await audit.record(
        tx, scope, "installation.base-url", "installation", 1, now=now, host=urlsplit(checked).netloc
    )
    return checked


async def oldest_tenant(tx: ReadTx) -> int | None:
    """Whose relay also sends the mail about accounts; None before there is a tenant."""
    return await tx.scalar(sa.select(sa.func.min(Tenant.id)))


async def _one_at_a_time(tx: WriteTx) -> None:
    """Of two links that are opened at once one makes the first user, and of two that are asked for one is left. On
    SQLite any two writers take turns."""
    if tx.postgres:
        await tx.execute(sa.text("LOCK TABLE account_tokens IN SHARE ROW EXCLUSIVE MODE"))


async def _void_setup_tokens(tx: WriteTx) -> None:
    await tx.execute(sa.delete(AccountToken).where(col(AccountToken.kind) == TokenKind.SETUP))


async def _has_user(tx: ReadTx) -> bool:
    return await tx.scalar(sa.select(col(User.id)).limit(1)) is not None
