"""What a campaign would send to one contact, or did: the same bytes as the worker's, but for Date and signatures.

A draft's snapshot is made in memory and its message belongs to task 0, so that nothing is written; a campaign
that was launched is composed from its stored snapshot, for the contact's own task where there is one.
"""

from datetime import datetime

from sqlmodel import col

from mailengine.core.config import Settings
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.contacts.contacts import get_contact
from mailengine.domain.content import snapshots
from mailengine.domain.content.preview import person_of
from mailengine.domain.content.snapshots import Sender
from mailengine.domain.content.templates import sources_of
from mailengine.domain.delivery.compose import Composed
from mailengine.domain.delivery.rehearse import TASK, draft_snapshot
from mailengine.domain.delivery.sources import composer_of
from mailengine.models import EmailTask, Snapshot


async def rehearse(
    db: Database,
    scope: Scope,
    *,
    campaign_id: CampaignId,
    address: str,
    keyring: Keyring,
    settings: Settings,
    now: datetime,
) -> Composed:
    """Raises NotFound (campaign, contact), InvalidInput for a template that cannot be composed."""
    async with db.read(scope) as tx:
        contact = await get_contact(tx, scope, address=address)
        task = await tx.scalar(
            owned(EmailTask, scope).where(
                col(EmailTask.campaign_id) == campaign_id, col(EmailTask.contact_id) == contact.id
            )
        )
    snapshot = await _snapshot(db, scope, campaign_id, now)
    composer = await composer_of(db, scope, snapshot, keyring, settings)
    person = person_of(contact)
    if task is None or task.id is None:
        return composer.compose(TASK, 0, person, now)
    return composer.compose(task.id, task.attempts, person, now)


async def _snapshot(db: Database, scope: Scope, campaign_id: CampaignId, now: datetime) -> Snapshot:
    async with db.read(scope) as tx:
        campaign = await get(tx, scope, campaign_id=campaign_id)
        if campaign.snapshot_id is not None:
            return await snapshots.load(tx, scope, snapshot_id=campaign.snapshot_id)
        sources = await sources_of(tx, scope, template_id=campaign.template_id, subject=campaign.subject)
        tenant = await get_tenant(tx, scope)
    built = await snapshots.build(
        sources, track_opens=campaign.track_opens, track_clicks=campaign.track_clicks
    )
    sender = Sender(campaign.from_name, campaign.from_email, campaign.reply_to)
    return draft_snapshot(built, sender, tenant, campaign_id=campaign_id, now=now)
