"""Opens and clicks on their way into the database: answered at once, written in batches.

Invariants: a hit in the buffer is either dropped and counted at the door, or written; a batch leaves the
buffer only after it was committed, and its uids make it harmless to write it again. A database that is gone
for a while costs memory up to the capacity, never an answer.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

from sqlalchemy.dialects import postgresql, sqlite

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.tracking.events import owners_of
from mailengine.domain.tracking.tokens import Recipient
from mailengine.models import EmailEvent, EventKind

CAPACITY = 50_000  # about 30 MB at worst: a flood of forged hits must not eat the machine's memory
BATCH = 1000
FLUSH_SECONDS = 0.5

log = get_logger("tracking")


@dataclass(frozen=True, slots=True)
class Hit:
    """A request for a pixel or a link, as it came; `uid` is its name for ever."""

    uid: str
    recipient: Recipient
    kind: EventKind
    at: datetime
    link: int | None = None
    ip: str = ""
    user_agent: str = ""


class HitBuffer:
    """Hits in the order of their arrival; `accepted` and `dropped` count since the start of the process."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._hits: deque[Hit] = deque()
        self._capacity = capacity
        self.accepted = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._hits)

    def add(self, hit: Hit) -> bool:
        """Take the hit, or drop it when the buffer is full: the oldest may be half written."""
        if len(self._hits) >= self._capacity:
            self.dropped += 1
            return False
        self._hits.append(hit)
        self.accepted += 1
        return True

    def oldest(self, count: int) -> list[Hit]:
        return list(islice(self._hits, count))

    def forget(self, count: int) -> None:
        """Remove the oldest `count`, which are stored."""
        for _ in range(count):
            self._hits.popleft()


async def store(tx: WriteTx, instance: InstanceScope, hits: Sequence[Hit]) -> None:
    """Write hits as events; those of tasks that do not exist are left out, known uids stay as they are."""
    owners = await owners_of(tx, instance, [hit.recipient for hit in hits])
    rows = [_row(hit, *owners[hit.recipient]) for hit in hits if hit.recipient in owners]
    if rows:
        dialect = postgresql if tx.postgres else sqlite
        await tx.execute(dialect.insert(EmailEvent).on_conflict_do_nothing(index_elements=["uid"]), rows)


def _row(hit: Hit, campaign_id: int, contact_id: int) -> dict[str, Any]:
    return {
        "uid": hit.uid,
        "tenant_id": hit.recipient.tenant_id,
        "task_id": hit.recipient.task_id,
        "campaign_id": campaign_id,
        "contact_id": contact_id,
        "kind": hit.kind,
        "at": hit.at,
        "link": hit.link,
        "ip": hit.ip,
        "user_agent": hit.user_agent,
    }


async def flush(db: Database, instance: InstanceScope, buffer: HitBuffer) -> int:
    """Write all that is in the buffer, a transaction a batch; returns how many hits left it."""
    written = 0
    while hits := buffer.oldest(BATCH):
        async with db.write(instance) as tx:
            await store(tx, instance, hits)
        buffer.forget(len(hits))
        written += len(hits)
    return written


class HasDatabase(Protocol):
    """What the flusher needs of the runtime, which lies above this layer."""

    @property
    def db(self) -> Database: ...


async def run_flusher(rt: HasDatabase, buffer: HitBuffer, stop: asyncio.Event) -> None:
    """Flush every half second until `stop`, then what is left."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FLUSH_SECONDS)
        await _try_to_flush(rt.db, buffer, "hits wait in memory")
    await _try_to_flush(rt.db, buffer, "hits are lost")


async def _try_to_flush(db: Database, buffer: HitBuffer, otherwise: str) -> None:
    try:
        await flush(db, InstanceScope(actor="role:tracker"), buffer)
    except Unavailable as error:
        log.warning(otherwise, waiting=len(buffer), dropped=buffer.dropped, error=str(error))
