"""Transactional messages over the API: one to one person, sent ahead of every campaign.

Invariant: a message's bodies go in and never come out: they may hold secrets.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from anyio import to_thread
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.domain.delivery.transactional import OutgoingMessage, messages, queue_message, senders
from mailengine.mail.html_text import html_to_text
from mailengine.models import Message, MessageStatus
from mailengine.web.api.delivery import CauseName, Ids
from mailengine.web.api.rights import MANAGE, SEND
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Document,
    Email,
    Given,
    Id,
    Limit,
    PageOf,
    page_of,
    page_request,
)
from mailengine.web.site import Site

KIND = r"^[a-z][a-z0-9_\-]{0,29}$"
Kind = Annotated[str, msgspec.Meta(pattern=KIND)]
Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]
PersonName = Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)]
Mailbox = Annotated[str, msgspec.Meta(min_length=3, max_length=600, pattern=NO_NUL)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NUL)]
OfStatus = Annotated[MessageStatus | None, QueryParameter(name="status")]
OfKind = Annotated[str | None, QueryParameter(name="kind", pattern=KIND)]


class NewMessage(Given):
    """Text, HTML or both; without a text it is made from the HTML. `kind` says what it is for and stands in the list.
    The same `idempotency_key` queues nothing a second time. Without `sender`, like `Acme <desk@example.org>`, it is
    from the default sender."""

    to: Email
    subject: Subject
    text: Document = ""
    html: Document = ""
    to_name: PersonName = ""
    kind: Kind = "notice"
    idempotency_key: Key | None = None
    sender: Mailbox | None = None


class MessageShape(msgspec.Struct):
    """What became of it; `last_reply` is the server's, `cause` why it was given up."""

    id: int
    kind: str
    email: str
    from_email: str
    subject: str
    status: MessageStatus
    attempts: int
    cause: str
    last_reply: str
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime | None


class RequeueMessages(Given):
    """Those that fit all that is given; `all` for every message that failed."""

    ids: Ids | None = None
    cause: CauseName | None = None
    all: bool = False


class RequeuedMessages(msgspec.Struct):
    """How many; one whose body is gone (after 7 days) stays failed."""

    requeued: int


class SenderShape(msgspec.Struct):
    """Who messages are from that name no sender."""

    name: str
    address: str


class NewSender(Given):
    """A mailbox like `Acme <desk@example.org>`."""

    mailbox: Mailbox


class Messages(Controller):
    """Messages that are no campaign's."""

    path = "/messages"
    tags = ("messages",)

    @get(**READ, summary="List messages")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        of_status: OfStatus = None,
        of_kind: OfKind = None,
    ) -> PageOf[MessageShape]:
        """Newest first."""
        async with site.rt.db.read(caller) as tx:
            found = await messages.list_messages(
                tx, caller, status=of_status, kind=of_kind, request=page_request(limit, cursor)
            )
        return page_of(found, message_shape)

    @post(status_code=202, **SEND, **WRITE, summary="Send a message")
    async def send(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewMessage]
    ) -> MessageShape:
        """Queued when this answers; for a key that was used before, the message of then."""
        wanted = await outgoing(data)
        async with site.rt.db.write(caller) as tx:
            message_id = await queue_message(tx, caller, wanted, now=site.rt.clock.now())
            return message_shape(await messages.get_message(tx, caller, message_id=message_id))

    @get("/{message_id:int}", **READ_ONE, summary="Get a message")
    async def get_one(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], message_id: Id
    ) -> MessageShape:
        async with site.rt.db.read(caller) as tx:
            return message_shape(await messages.get_message(tx, caller, message_id=message_id))

    @post("/requeue", status_code=200, **SEND, **WRITE, summary="Try messages again")
    async def requeue(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[RequeueMessages]
    ) -> RequeuedMessages:
        if data.all == (data.ids is not None or data.cause is not None):
            raise InvalidInput("say which: ids, cause, or all")
        async with site.rt.db.write(caller) as tx:
            now = site.rt.clock.now()
            return RequeuedMessages(
                await messages.requeue(tx, caller, ids=data.ids, cause=data.cause, now=now)
            )


class DefaultSender(Controller):
    """Who messages are from that name no sender."""

    path = "/default-sender"
    tags = ("messages",)

    @get(responses=WRITE["responses"], summary="See the default sender")
    async def see(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> SenderShape:
        """noreply@ the sending domain where none was set; 422 without either."""
        async with site.rt.db.read(caller) as tx:
            return sender_shape(await senders.default_sender(tx, caller))

    @put(**MANAGE, **WRITE, summary="Set the default sender")
    async def set_it(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewSender]
    ) -> SenderShape:
        wanted = senders.parse_sender(data.mailbox)
        async with site.rt.db.write(caller) as tx:
            await senders.set_default_sender(tx, caller, sender=wanted, now=site.rt.clock.now())
        return sender_shape(wanted)

    @delete(**MANAGE, **WRITE, summary="Back to noreply@ the sending domain")
    async def clear(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> None:
        async with site.rt.db.write(caller) as tx:
            await senders.clear_default_sender(tx, caller, now=site.rt.clock.now())


async def outgoing(data: NewMessage) -> OutgoingMessage:
    """Raises InvalidInput where there is nothing to read."""
    text = data.text
    if not text and data.html:  # in a thread: a megabyte takes a while
        text = await to_thread.run_sync(html_to_text, data.html)
    return OutgoingMessage(
        to=data.to,
        subject=data.subject,
        text=text,
        html=data.html,
        to_name=data.to_name,
        kind=data.kind,
        idempotency_key=data.idempotency_key,
        sender=data.sender,
    )


def message_shape(row: Message) -> MessageShape:
    return msgspec.convert(row.model_dump(exclude={"text", "html"}), MessageShape)


def sender_shape(sender: senders.Sender) -> SenderShape:
    return SenderShape(sender.name, sender.email)
