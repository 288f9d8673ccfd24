"""The message that asks somebody who gave no sign of life for long whether they still want mail (P5-08).

It says nothing but that, in plain text, with the link to leave from the last message they got: who was never written
to cannot be asked this way.
"""

from datetime import datetime

import sqlalchemy as sa

from mailengine.core.errors import Refused
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts import hygiene
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.domain.tracking.tokens import Purpose, TokenSigner
from mailengine.models import Contact, EmailTask, TaskStatus

_TEXT = """Hello{name},

we have not heard from you for a while. If you would like to go on getting mail from {organisation}, there is nothing
to do. If not, one click is enough:

{leave}

{organisation}, {postal_address}
"""


async def ask(
    tx: WriteTx, scope: Scope, *, contact_id: int, tokens: TokenSigner, base_url: str, now: datetime
) -> Contact:
    """Go on writing to them, beginning with this message. Raises Refused where they were never written to, Conflict
    where they left."""
    scope.require(Grant.SEND)
    tasks = table_of(EmailTask).c
    last = await tx.scalar(
        sa.select(sa.func.max(tasks.id)).where(
            tasks.tenant_id == scope.tenant_id,
            tasks.contact_id == contact_id,
            tasks.status == TaskStatus.SENT,
        )
    )
    if last is None:
        raise Refused(
            "they were never written to: there is no link to leave by; send them a campaign instead"
        )
    contact = await hygiene.keep(tx, scope, contact_id=contact_id, now=now)
    tenant = await get_tenant(tx, scope)
    text = _TEXT.format(
        name=f" {contact.first_name}" if contact.first_name else "",
        organisation=tenant.name,
        postal_address=tenant.postal_address,
        leave=f"{base_url}/u/{tokens.sign(last, scope.tenant_id, Purpose.MANAGE)}",
    )
    message = OutgoingMessage(
        to=contact.email,
        to_name=f"{contact.first_name} {contact.last_name}".strip(),
        subject=f"Do you still want mail from {tenant.name}?",
        text=text,
        kind="re-engagement",
        idempotency_key=f"re-engagement-{contact_id}-{now:%Y-%m-%d}",
    )
    await queue_message(tx, scope, message, now=now)
    return contact
