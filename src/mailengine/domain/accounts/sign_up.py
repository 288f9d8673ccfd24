"""Signing up by oneself: nothing exists until the address is confirmed.

What was typed waits in a token that is mailed to the address; redeeming it makes the organisation and its owner. So
there is never an account with an address that its owner does not control, which a later login by a provider's
confirmed address could be tied to.
"""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import tokens
from mailengine.domain.accounts.recovery import Letter
from mailengine.domain.accounts.setup import create_owned_tenant
from mailengine.domain.accounts.tenants import TenantDetails, free_slug
from mailengine.domain.accounts.users import user_with
from mailengine.mail.address import parse_address
from mailengine.models import Membership, TokenKind


async def ask(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    email: str,
    password_hash: str,
    details: TenantDetails,
    now: datetime,
) -> Letter | None:
    """A token for the address; None where it has an account already, whose owner is then told by mail."""
    address = parse_address(email)
    if await user_with(tx, email=address.email) is not None:
        return None
    data = {"email": address.email, "password_hash": password_hash, "details": asdict(details)}
    return Letter(address.email, await tokens.issue(tx, TokenKind.SIGN_UP, now=now, data=data))


async def confirm(tx: WriteTx, instance: InstanceScope, *, token: str, now: datetime) -> Membership:
    """The organisation and its owner; raises NotFound for a token that was used or expired."""
    found = await tokens.redeem(tx, TokenKind.SIGN_UP, token=token, now=now)
    if found is None:
        raise NotFound("this link was used already or has expired; sign up once more, or log in")
    given = TenantDetails(**found.data["details"])
    details = TenantDetails(await free_slug(tx, given.slug), given.name, given.country, given.postal_address)
    tenant = await create_owned_tenant(
        tx,
        instance,
        details=details,
        email=found.data["email"],
        password_hash=found.data["password_hash"],
        now=now,
    )
    member = await tx.scalar(sa.select(Membership).where(col(Membership.tenant_id) == tenant.id))
    assert member is not None
    return member
