"""Transactional messages in a round: queued while everything dies around them, none lost, doubled only in doubt."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from benchmarks.chaos_ledger import Verdict, in_database
from benchmarks.chaos_sink import exists
from mailengine.core.clock import SystemClock
from mailengine.core.errors import Unavailable
from mailengine.core.ids import TenantId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.models import Message, Tenant
from peers.sink import Envelope
from support.world import INSTANCE

_PREFIX = "message"
_ENDED = ("sent", "failed", "skipped")


def is_message(recipient: str) -> bool:
    """Whether it is one of ours, and no contact's."""
    return recipient.startswith(_PREFIX)


@dataclass(slots=True)
class MessageFigures:
    """`doubled` are those that the server accepted more than once, `extra` how often more."""

    queued: int = 0
    sent: int = 0
    doubled: int = 0
    extra: int = 0
    lost: int = 0


class Post:
    """Queues messages. A commit whose answer was lost is asked for again: its idempotency key makes it one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._next = 1
        self._unsure: list[int] = []

    @property
    def queued(self) -> int:
        """So many must have an outcome at the end."""
        return self._next - 1 - len(self._unsure)

    def queue(self, count: int) -> None:
        numbers = [*self._unsure, *range(self._next, self._next + count)]
        self._next += count
        self._unsure = numbers
        try:
            asyncio.run(in_database(self._url, lambda db: _queue(db, numbers)))
        except (Unavailable, DBAPIError, OSError):
            return
        self._unsure = []

    def ended(self) -> bool:
        """All are queued, and each has an outcome."""
        self.queue(0)
        rows = self._rows()
        return not self._unsure and len(rows) == self.queued and all(row.status in _ENDED for row in rows)

    def judge(self, accepted: list[Envelope], verdict: Verdict) -> MessageFigures:
        """Adds to the verdict's faults what must never be."""
        rows = self._rows()
        received = Counter(envelope.recipients[0] for envelope in accepted)
        names = {(envelope.recipients[0], envelope.message_id) for envelope in accepted}
        verdict.fault(
            "messages doubled under another Message-ID",
            (Counter(who for who, _ in names) - Counter(received.keys())).elements(),
        )
        doubled = {who: n for who, n in received.items() if n > 1}
        lost = [row for row in rows if row.status == "sent" and row.email not in received]
        verdict.fault("messages without an outcome", (row for row in rows if row.status not in _ENDED))
        verdict.fault("messages that are not there", range(self.queued - len(rows)))
        verdict.fault("messages recorded as sent, never accepted", lost)
        verdict.fault(
            "messages accepted, not sent",
            (row for row in rows if row.email in received and row.status != "sent"),
        )
        verdict.fault(
            "messages given up that could be sent",
            (row for row in rows if row.status in ("failed", "skipped") and exists(row.email)),
        )
        tried_once = {row.email for row in rows if row.attempts < 2}
        verdict.fault("messages doubled without a second try", doubled.keys() & tried_once)
        return MessageFigures(
            queued=len(rows),
            sent=sum(row.status == "sent" for row in rows),
            doubled=len(doubled),
            extra=sum(n - 1 for n in doubled.values()),
            lost=len(lost),
        )

    def _rows(self) -> list["_Row"]:
        return asyncio.run(in_database(self._url, _read))


@dataclass(frozen=True, slots=True)
class _Row:
    email: str
    status: str
    attempts: int
    last_reply: str


async def _queue(db: Database, numbers: list[int]) -> None:
    if not numbers:
        return
    async with db.read(INSTANCE) as tx:
        tenant: int = (await tx.scalars(sa.select(table_of(Tenant).c.id))).one()
    scope = Scope(TenantId(tenant), "chaos")
    async with db.write(scope) as tx:
        for number in numbers:
            message = OutgoingMessage(
                f"{_PREFIX}{number}@example.org",
                "Your code",
                f"Your code is {number}.",
                sender="Acme <noreply@example.org>",
                idempotency_key=str(number),
            )
            await queue_message(tx, scope, message, now=SystemClock().now())


async def _read(db: Database) -> list[_Row]:
    messages = table_of(Message).c
    async with db.read(INSTANCE) as tx:
        rows = await tx.execute(
            sa.select(messages.email, messages.status, messages.attempts, messages.last_reply)
        )
        return [_Row(*row) for row in rows]
