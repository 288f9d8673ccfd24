"""Whom a link in a message belongs to, where it leads, and what its recipient did with it."""

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId, ContactId, SnapshotId, TaskId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx, WriteTx
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


async def campaign_of(tx: ReadTx, scope: Scope, *, task_id: int) -> CampaignId | None:
    """The campaign of a message: one read of the primary key."""
    found = await tx.scalar(
        sa.select(col(EmailTask.campaign_id)).where(
            tenant_of(EmailTask) == scope.tenant_id, col(EmailTask.id) == task_id
        )
    )
    return CampaignId(found) if found is not None else None


async def links_of(tx: ReadTx, scope: Scope, *, campaign_id: CampaignId) -> list[str]:
    """The targets of the campaign's links, by index; empty when nothing was launched."""
    links: list[str] | None = await tx.scalar(
        sa.select(col(Snapshot.links))
        .join(Campaign, col(Campaign.snapshot_id) == col(Snapshot.id))
        .where(tenant_of(Snapshot) == scope.tenant_id, col(Campaign.id) == campaign_id)
    )
    return links or []


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
