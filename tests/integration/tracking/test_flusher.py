"""The flusher beside a database that goes away, and at the end of the process."""

import asyncio
import sqlite3
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from mailengine.core.config import DatabaseSettings
from mailengine.core.errors import Unavailable
from mailengine.core.ids import TaskId, TenantId
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.tracking.intake import Hit, HitBuffer, flush, run_flusher
from mailengine.domain.tracking.tokens import Recipient
from mailengine.models import EmailEvent, EventKind
from support.house import INSTANCE, NOW

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Holder:
    db: Database


def hit(uid: str, task_id: int = 1) -> Hit:
    return Hit(uid, Recipient(TaskId(task_id), TenantId(1)), EventKind.OPEN, NOW)


def test_a_full_buffer_keeps_the_older_hits():
    buffer = HitBuffer(capacity=2)
    assert [buffer.add(hit(uid)) for uid in "abc"] == [True, True, False]
    assert [waiting.uid for waiting in buffer.oldest(10)] == ["a", "b"]
    buffer.forget(1)
    assert buffer.add(hit("d"))
    assert [waiting.uid for waiting in buffer.oldest(10)] == ["b", "d"]
    assert (buffer.accepted, buffer.dropped, len(buffer)) == (3, 1, 2)


async def test_the_flusher_writes_what_is_left_when_it_stops(db: Database, scope: Scope):
    buffer, stop = HitBuffer(), asyncio.Event()
    task = asyncio.create_task(run_flusher(Holder(db), buffer, stop))
    for number in range(2500):
        buffer.add(hit(f"u{number}"))
    stop.set()
    await asyncio.wait_for(task, 20)
    assert len(buffer) == 0


async def test_hits_wait_for_a_database_that_is_locked(sqlite_dsn: str):
    short = Database(sqlite_dsn, DatabaseSettings(busy_timeout_seconds=0.05))
    buffer = HitBuffer()
    buffer.add(hit("a"))
    other_program = sqlite3.connect(sqlite_dsn.split("///")[1], isolation_level=None)
    try:
        other_program.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await flush(short, INSTANCE, buffer)
        assert len(buffer) == 1
        other_program.execute("ROLLBACK")
        assert await flush(short, INSTANCE, buffer) == 1
    finally:
        other_program.close()
        await short.close()


async def test_hits_of_unknown_tasks_are_dropped_silently(db: Database, scope: Scope):
    buffer = HitBuffer()
    buffer.add(hit("a", 2**63 - 1))
    assert await flush(db, INSTANCE, buffer) == 1
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(EmailEvent)) == 0
