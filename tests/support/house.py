"""An installation for tests of the domain: a database with the tenancy guard on, and tenants in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.models import Campaign, CampaignState, CampaignTotals, Snapshot, Template
from support.tenancy_guard import attach

INSTANCE = InstanceScope("test")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEYRING = Keyring(bytes(range(32)))


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Both engines on a database, guarded; closed at the end."""
    db = attach(Database(url, DatabaseSettings()))
    try:
        yield db
    finally:
        await db.close()


async def add_tenant(db: Database, name: str = "Acme") -> Scope:
    """A new tenant, seen with every grant."""
    async with db.write(INSTANCE) as tx:
        tenant = await create_tenant(
            tx, INSTANCE, name=name, country="DE", postal_address="Street 1, 10115 Berlin", now=NOW
        )
    return scope_in(tenant, INSTANCE)


async def add_campaign(
    db: Database, scope: Scope, *, template: str = "Newsletter", **values: Any
) -> Campaign:
    """A campaign with a template; one that is no draft also has what its launch would have made."""
    given = {"name": "Spring", "subject": "Hello", "from_email": "news@example.org", **values}
    async with db.write(scope) as tx:
        made = Template(tenant_id=scope.tenant_id, name=template, created_at=NOW, updated_at=NOW)
        tx.add(made)
        await tx.flush()
        campaign = Campaign(
            tenant_id=scope.tenant_id, template_id=made.id, created_at=NOW, updated_at=NOW, **given
        )
        tx.add(campaign)
        await tx.flush()
        if campaign.state != CampaignState.DRAFT:
            await _launch(tx, campaign)
    return campaign


async def _launch(tx: WriteTx, campaign: Campaign) -> None:
    snapshot = Snapshot(
        tenant_id=campaign.tenant_id,
        campaign_id=campaign.id,
        subject=campaign.subject,
        from_name="",
        from_email=campaign.from_email,
        html="<p>Hello</p>",
        text="Hello",
        created_at=NOW,
    )
    tx.add(snapshot)
    tx.add(CampaignTotals(campaign_id=campaign.id, tenant_id=campaign.tenant_id))
    await tx.flush()
    campaign.snapshot_id, campaign.launched_at = snapshot.id, NOW
