"""The first tenant and its owner: what turns an empty database into an installation."""

from datetime import datetime

from mailengine.core.scope import InstanceScope
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts.tenants import TenantDetails, create_tenant, scope_in
from mailengine.domain.accounts.users import add_member, create_user
from mailengine.models import Role, Tenant


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
