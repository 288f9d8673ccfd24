"""The ledger of transactional messages: what became of each, and the way back for those that were given up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.models import Message, MessageStatus

FORGOTTEN = timedelta(days=90)  # after its end a message's row goes, with the address in it
_AT_ONCE = 1000
KEPT = timedelta(days=7)  # the bodies of messages that failed, for whoever queues them again


async def list_messages(
    tx: ReadTx,
    scope: Scope,
    *,
    status: MessageStatus | None = None,
    kind: str | None = None,
    text: str = "",
    request: PageRequest | None = None,
) -> Page[Message]:
    """Newest first; `text` is in the address or the subject."""
    query = owned(Message, scope)
    if status is not None:
        query = query.where(col(Message.status) == status)
    if kind is not None:
        query = query.where(col(Message.kind) == kind)
    if text:
        query = query.where(sa.or_(contains(col(Message.email), text), contains(col(Message.subject), text)))
    return await keyset_page(tx, query, col(Message.id), request or PageRequest(), newest_first=True)


async def get_message(tx: ReadTx, scope: Scope, *, message_id: int) -> Message:
    """Raises NotFound."""
    row = await tx.scalar(owned(Message, scope).where(col(Message.id) == message_id))
    if row is None:
        raise NotFound(f"there is no message {message_id}; see `mailengine delivery messages list`")
    return row


async def requeue(
    tx: WriteTx, scope: Scope, *, ids: Sequence[int] | None, cause: str | None, now: datetime
) -> int:
    """Try messages again that failed, all of them where neither ids nor a cause are given; returns how many.

    One whose body is gone stays as it is.
    """
    scope.require(Grant.SEND)
    messages = table_of(Message).c
    chosen = [messages.status == MessageStatus.FAILED, messages.text != ""]
    if ids is not None:
        chosen.append(messages.id.in_(ids))
    if cause is not None:
        chosen.append(messages.cause == cause)
    result = await tx.execute(
        sa.update(table_of(Message))
        .where(tenant_of(Message) == scope.tenant_id, *chosen)
        .values(
            status=MessageStatus.QUEUED, scheduled_at=now, first_tried_at=None, finished_at=None, cause=""
        )
    )
    count = touched(result)
    await audit.record(tx, scope, "message.requeue", "message", None, now=now, count=count)
    return count


async def erase_failed(tx: WriteTx, _instance: InstanceScope, *, now: datetime) -> int:
    """Empty the bodies of messages that failed long ago: nobody will send them again, and they hold secrets."""
    messages = table_of(Message)
    result = await tx.execute(
        sa.update(messages)
        .where(
            messages.c.status == MessageStatus.FAILED,
            messages.c.text != "",
            messages.c.finished_at < now - KEPT,
        )
        .values(text="", html="")
    )
    return touched(result)


async def forget_old(tx: WriteTx, _instance: InstanceScope, *, now: datetime) -> int:
    """Delete some messages that ended long ago; returns how many, 0 when none is left."""
    messages = table_of(Message)
    old = (
        sa.select(messages.c.id)
        .where(messages.c.finished_at < now - FORGOTTEN)
        .order_by(messages.c.id)
        .limit(_AT_ONCE)
    )
    result = await tx.execute(sa.delete(messages).where(messages.c.id.in_(old)))
    return touched(result)
