"""Into the queue, in the caller's transaction: the message leaves once that commits, and only then."""

import re
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.delivery.transactional.senders import default_sender, parse_sender
from mailengine.mail.address import parse_address
from mailengine.models import Message, MessageStatus

MAX_BYTES = 2_000_000  # of both bodies: a message is held in memory while it waits for its connection
_MAX_SUBJECT = 500
_MAX_KEY = 200
_MAX_NAME = 200
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,29}")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to one person. `kind` says what it is for (`system`: something they did themselves asks for it);
    the same `idempotency_key` queues nothing twice; `sender` is a mailbox, None the tenant's default sender."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(default="", repr=False)
    to_name: str = ""
    kind: str = "system"
    idempotency_key: str | None = None
    sender: str | None = None


async def queue_message(tx: WriteTx, scope: Scope, message: OutgoingMessage, *, now: datetime) -> int:
    """Queue it and return its id, the old one for an idempotency key that was used before.

    Asks for no grant: whoever calls it has decided. Raises InvalidInput for what cannot be sent, Refused where
    nobody is there to send it as.
    """
    _check(message)
    recipient = parse_address(message.to)
    sender = parse_sender(message.sender) if message.sender else await default_sender(tx, scope)
    row = {
        "tenant_id": scope.tenant_id,
        "kind": message.kind,
        "idempotency_key": message.idempotency_key,
        "email": recipient.email,
        "to_name": _storable(message.to_name)[:_MAX_NAME],
        "from_name": sender.name,
        "from_email": sender.email,
        "subject": _storable(message.subject),
        "text": _storable(message.text),
        "html": _storable(message.html),
        "status": MessageStatus.QUEUED,
        "created_at": now,
        "scheduled_at": now,
        "attempts": 0,
        "cause": "",
        "last_reply": "",
    }
    made = await tx.scalar(insert_new(tx, Message).values(row).returning(table_of(Message).c.id))
    if made is None:
        return await _known(tx, scope, message.idempotency_key)
    tx.signal(str(scope.tenant_id))
    return int(made)


async def _known(tx: WriteTx, scope: Scope, key: str | None) -> int:
    query = sa.select(col(Message.id)).where(
        col(Message.tenant_id) == scope.tenant_id, col(Message.idempotency_key) == key
    )
    return int((await tx.scalars(query)).one())  # type: ignore[arg-type]  # a stored row has an id


def _check(message: OutgoingMessage) -> None:
    if not _KIND.fullmatch(message.kind):
        raise InvalidInput(f"{message.kind!r} is no kind of message; use up to 30 of a-z, 0-9, _ and -")
    if not message.subject.strip() or len(message.subject) > _MAX_SUBJECT:
        raise InvalidInput(f"a subject has 1 to {_MAX_SUBJECT} characters")
    if not message.text.strip():
        raise InvalidInput("a message needs a plain text, which every mail program can show")
    if len(message.text.encode(errors="replace")) + len(message.html.encode(errors="replace")) > MAX_BYTES:
        raise InvalidInput(f"text and HTML of a message have at most {MAX_BYTES // 1_000_000} MB together")
    key = message.idempotency_key
    if key is not None and (not 1 <= len(key) <= _MAX_KEY or not key.isprintable()):
        raise InvalidInput(f"an idempotency key has 1 to {_MAX_KEY} printable characters")


def _storable(text: str) -> str:
    """Without what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
