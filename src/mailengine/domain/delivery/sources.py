"""What a worker needs to know of a campaign before it can send: its relay and its compiled message."""

from dataclasses import dataclass

from sqlmodel import col

from mailengine.core.config import Settings
from mailengine.core.ids import TenantId
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.content.snapshots import load
from mailengine.domain.delivery.claim import RunningCampaign
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.transport import Way, way_of
from mailengine.domain.senders.domains import signers
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.mail.address import parse_address
from mailengine.models import Relay, Snapshot


@dataclass(frozen=True, slots=True)
class LoadedRelay:
    tenant_id: TenantId
    relay_id: int
    priority: int
    weight: int
    way: Way


async def load_relays(
    db: Database, scope: Scope, *, relay_id: int | None, keyring: Keyring, settings: Settings
) -> list[LoadedRelay]:
    """The relay that was named, else all of the tenant's; only enabled ones."""
    query = owned(Relay, scope).where(col(Relay.enabled))
    if relay_id is not None:
        query = query.where(col(Relay.id) == relay_id)
    async with db.read(scope) as tx:
        relays = (await tx.scalars(query)).all()
    return [
        LoadedRelay(scope.tenant_id, relay.id, relay.priority, relay.weight, way_of(relay, keyring, settings))
        for relay in relays
        if relay.id is not None
    ]


async def load_composer(
    db: Database, campaign: RunningCampaign, keyring: Keyring, settings: Settings
) -> Composer:
    """The campaign's snapshot, compiled."""
    scope = Scope(campaign.tenant_id, "role:worker")
    async with db.read(scope) as tx:
        snapshot = await load(tx, scope, snapshot_id=campaign.snapshot_id)
    return await composer_of(db, scope, snapshot, keyring, settings)


async def composer_of(
    db: Database, scope: Scope, snapshot: Snapshot, keyring: Keyring, settings: Settings
) -> Composer:
    """A snapshot, stored or not, compiled; signed with the keys of its sending domain where it has some."""
    async with db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
        domain = parse_address(snapshot.from_email).domain
        keys = await signers(tx, scope, domain=domain, keyring=keyring)
    return Composer(
        snapshot,
        tenant_slug=tenant.slug,
        base_url=settings.base_url,
        tokens=TokenSigner(keyring),
        verp_key=keyring.derive("return path"),
        signers=keys,
    )
