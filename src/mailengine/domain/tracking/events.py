"""Whom a link in a message belongs to, where it leads, and what its recipient did with it."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId, ContactId, SnapshotId, TaskId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.tracking.tokens import Recipient
from mailengine.models import Campaign, Contact, EmailEvent, EmailTask, EventKind, Snapshot, Tenant

IP_CHARS = 45
USER_AGENT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, cut to what the database holds."""

    ip: str = ""
    user_agent: str = ""


def origin(ip: str, user_agent: str) -> Origin:
    """Clean what a stranger sent: no control characters (PostgreSQL refuses NUL), no novels."""
    printable = "".join(char for char in user_agent if char.isprintable())
    return Origin(ip[:IP_CHARS], printable[:USER_AGENT_CHARS])


@dataclass(frozen=True, slots=True)
class MessageOf:
    """A message that was sent to somebody, and who sent it."""

    task_id: TaskId
    campaign_id: CampaignId
    contact_id: ContactId
    snapshot_id: SnapshotId | None
    email: str
    organisation: str


async def message_of(tx: ReadTx, scope: Scope, *, task_id: int) -> MessageOf:
    """The message behind a token; also of deleted contacts and campaigns: leaving must work."""
    row = (
        await tx.execute(
            sa.select(
                col(EmailTask.campaign_id),
                col(EmailTask.contact_id),
                col(Campaign.snapshot_id),
                col(Contact.email),
                col(Tenant.name),
            )
            .join(Campaign, col(Campaign.id) == col(EmailTask.campaign_id))
            .join(Contact, col(Contact.id) == col(EmailTask.contact_id))
            .join(Tenant, col(Tenant.id) == col(EmailTask.tenant_id))
            .where(tenant_of(EmailTask) == scope.tenant_id, col(EmailTask.id) == task_id)
        )
    ).first()
    if row is None:
        raise NotFound("this link leads nowhere")
    campaign, contact, snapshot, email, organisation = row
    return MessageOf(
        TaskId(task_id),
        CampaignId(campaign),
        ContactId(contact),
        SnapshotId(snapshot) if snapshot is not None else None,
        email,
        organisation,
    )


async def owners_of(
    tx: ReadTx, instance: InstanceScope, recipients: Iterable[Recipient]
) -> dict[Recipient, tuple[CampaignId, ContactId]]:
    """Campaign and contact of each recipient that exists: one read for a whole batch of hits."""
    wanted = set(recipients)
    tasks = table_of(EmailTask).c
    rows = await tx.execute(
        sa.select(tasks.id, tasks.tenant_id, tasks.campaign_id, tasks.contact_id).where(
            tasks.id.in_({recipient.task_id for recipient in wanted})
        )
    )
    found = {Recipient(task, tenant): (campaign, contact) for task, tenant, campaign, contact in rows}
    return {recipient: owner for recipient, owner in found.items() if recipient in wanted}


async def links_of(
    tx: ReadTx, instance: InstanceScope, campaign_ids: Iterable[CampaignId]
) -> dict[CampaignId, list[str]]:
    """The targets of the campaigns' links, by index; none for what was never launched."""
    campaigns, snapshots = table_of(Campaign).c, table_of(Snapshot).c
    rows = await tx.execute(
        sa.select(campaigns.id, snapshots.links)
        .select_from(sa.join(Campaign, Snapshot, campaigns.snapshot_id == snapshots.id))
        .where(campaigns.id.in_(set(campaign_ids)))
    )
    return {CampaignId(campaign): links for campaign, links in rows}


async def record(
    tx: WriteTx, scope: Scope, message: MessageOf, kind: EventKind, *, now: datetime, origin: Origin
) -> None:
    """Write one event at once, in the transaction of what it reports."""
    await tx.execute(
        sa.insert(EmailEvent).values(
            uid=secrets.token_hex(16),
            tenant_id=scope.tenant_id,
            task_id=message.task_id,
            campaign_id=message.campaign_id,
            contact_id=message.contact_id,
            kind=kind,
            at=now,
            ip=origin.ip,
            user_agent=origin.user_agent,
        )
    )
