"""Claims of due messages: like those of campaigns (`delivery/claim.py`), a token fences and a lease ends them."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts.suppression import suppressed
from mailengine.domain.delivery.claim import LEASE, ClaimedTask
from mailengine.mail.address import parse_address
from mailengine.models import Contact, ContactState, Message, MessageStatus

NOBODY = 0  # a message is for an address; whether it is a contact's does not matter


@dataclass(slots=True)
class ClaimedMessage(ClaimedTask):
    """A claimed row with what it is composed of."""

    kind: str
    to_name: str
    from_name: str
    from_email: str
    subject: str
    text: str
    html: str
    created_at: datetime


async def due_tenants(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> list[TenantId]:
    """Those with a message to send now."""
    messages = table_of(Message).c
    rows = await tx.scalars(
        sa.select(messages.tenant_id)
        .where(messages.status == sa.literal_column("'queued'"), messages.scheduled_at <= now)
        .distinct()
        .order_by(messages.tenant_id)
    )
    return [TenantId(found) for found in rows]


async def messages_due(tx: ReadTx, scope: Scope, *, now: datetime) -> bool:
    """Whether the tenant has one to send now."""
    messages = table_of(Message).c
    due = sa.exists().where(
        messages.tenant_id == scope.tenant_id,
        messages.status == sa.literal_column("'queued'"),
        messages.scheduled_at <= now,
    )
    return bool(await tx.scalar(sa.select(due)))


async def claim(
    tx: WriteTx, scope: Scope, *, claim_token: str, owner: str, limit: int, now: datetime
) -> list[ClaimedMessage]:
    """Take up to `limit` due messages, the oldest first."""
    messages = table_of(Message)
    due = (
        sa.select(messages.c.id)
        .where(
            tenant_of(Message) == scope.tenant_id,
            messages.c.status == sa.literal_column("'queued'"),  # literal: the partial index must match
            messages.c.scheduled_at <= now,
        )
        .order_by(messages.c.scheduled_at, messages.c.id)
        .limit(limit)
    )
    if tx.postgres:
        due = due.with_for_update(skip_locked=True)
    chosen = due.cte("due")  # a plain subquery may run again for each row and so take more than the limit
    columns = (
        "id", "email", "attempts", "first_tried_at", "kind", "to_name", "from_name", "from_email", "subject",
        "text", "html", "created_at",
    )  # fmt: skip
    rows = await tx.execute(
        sa.update(messages)
        .where(tenant_of(Message) == scope.tenant_id, messages.c.id.in_(sa.select(chosen.c.id)))
        .values(
            status=MessageStatus.CLAIMED, locked_by=owner, claim_token=claim_token, lease_until=now + LEASE
        )
        .returning(*(messages.c[name] for name in columns))
    )
    claimed = [ClaimedMessage(contact_id=NOBODY, **row) for row in rows.mappings()]
    return sorted(claimed, key=lambda message: message.id)


async def renew(tx: WriteTx, scope: Scope, *, claim_token: str, now: datetime) -> None:
    """Push the lease of a batch that takes long."""
    messages = table_of(Message)
    await tx.execute(
        sa.update(messages)
        .where(tenant_of(Message) == scope.tenant_id, messages.c.claim_token == claim_token)
        .values(lease_until=now + LEASE)
    )


async def blocked(tx: ReadTx, scope: Scope, claimed: list[ClaimedMessage]) -> dict[int, str]:
    """Why a message must not go out, by its id.

    Who unsubscribed from newsletters still gets what they asked for; a dead address and one on the suppression
    list get nothing; one who reported spam gets nothing but what their own act asks for (kind `system`).
    """
    keys = {message.id: parse_address(message.email).key for message in claimed}
    listed = await suppressed(tx, scope, list(keys.values()))
    contacts = table_of(Contact).c
    rows = await tx.execute(
        sa.select(contacts.email_key, contacts.state).where(
            contacts.tenant_id == scope.tenant_id, contacts.email_key.in_(set(keys.values()))
        )
    )
    states = {row.email_key: row.state for row in rows}
    reasons: dict[int, str] = {}
    for message in claimed:
        key = keys[message.id]
        state = states.get(key)
        if key in listed:
            reasons[message.id] = "the address is suppressed"
        elif state == ContactState.BOUNCED:
            reasons[message.id] = "mail to the address bounced for good"
        elif state == ContactState.COMPLAINED and message.kind != "system":
            reasons[message.id] = "the person reported mail as spam"
    return reasons
