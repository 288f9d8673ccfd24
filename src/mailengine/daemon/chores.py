"""What the scheduler does from time to time, as one table: add a line to `CHORES` and it is done.

A chore is an async generator: each `yield` gives the figures of one small transaction, and between two of them
the scheduler may have lost its lease or been told to stop; the chore then begins anew where it is due next.
So each must find what is left by itself, and doing it twice must do no harm. Time is the injected clock's.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.daemon import cleaning
from mailengine.daemon.backlog import Need, need
from mailengine.daemon.restart import wait
from mailengine.db.insert import insert_into
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import activity
from mailengine.domain.contacts.search import index
from mailengine.domain.delivery import reputation
from mailengine.domain.delivery.transactional import messages
from mailengine.domain.jobs import jobs
from mailengine.models import ChoreRun
from mailengine.runtime import Runtime

Figures = Mapping[str, int]
Go = Callable[[], Awaitable[bool]]

_LOOK_SECONDS = 5.0
_INDEX_SECONDS = {
    Need.NOBODY: 9.0,
    Need.ONE: 4.0,
    Need.ALL: 0.5,
}  # of a run of the search index, due every ten
_AFTER_FAILURE = timedelta(minutes=10)
_INSTANCE = InstanceScope("role:scheduler")

log = get_logger("scheduler")


@dataclass(frozen=True, slots=True)
class Chore:
    """`work` is given the moment at which the run began."""

    name: str
    period: timedelta
    work: Callable[[Runtime, datetime], AsyncGenerator[Figures]]


async def judge_reputation(rt: Runtime, now: datetime) -> AsyncGenerator[Figures]:
    """Whoever sends to bad addresses is suspended (P5-07)."""
    suspended = await reputation.evaluate(rt.db, _INSTANCE, now=now)
    for ruling in suspended:
        log.warning("tenant suspended", tenant=ruling.tenant_id, words=ruling.fault)
    yield {"suspended": len(suspended)}


async def erase_messages(rt: Runtime, now: datetime) -> AsyncGenerator[Figures]:
    """Bodies of transactional messages that nobody will send any more hold secrets."""
    async with rt.db.write(_INSTANCE) as tx:
        erased = await messages.erase_failed(tx, _INSTANCE, now=now)
    yield {"erased": erased}


async def forget_messages(rt: Runtime, now: datetime) -> AsyncGenerator[Figures]:
    """Transactional messages that ended long ago, a thousand at a time."""
    while True:
        async with rt.db.write(_INSTANCE) as tx:
            forgotten = await messages.forget_old(tx, _INSTANCE, now=now)
        if not forgotten:
            return
        yield {"forgotten": forgotten}


async def sum_activity(rt: Runtime, _now: datetime) -> AsyncGenerator[Figures]:
    """What contacts received, opened and clicked goes into their sums, a page at a time."""
    while number := await activity.sum_events(rt.db, _INSTANCE):
        yield {"events": number}
    while number := await activity.sum_tasks(rt.db, _INSTANCE):
        yield {"messages": number}


async def index_contacts(rt: Runtime, now: datetime) -> AsyncGenerator[Figures]:
    """Contacts that changed go into the index for searching, those that were erased out of it. After an import of a
    million that is minutes of work: a part of it in each run, so that no other chore waits, a small one while a long
    queue is sent, and a large one while nothing is sent and no job runs. What is not in the index yet is found all
    the same, more slowly."""
    async with rt.db.read(_INSTANCE) as tx:
        others = await need(tx, _INSTANCE, now=now)
        if others is Need.NOBODY and await jobs.any_runs(tx, _INSTANCE):
            others = Need.ONE
    end = time.monotonic() + _INDEX_SECONDS[others]
    while number := await index.index_some(rt.db, _INSTANCE):
        yield {"contacts": number}
        if time.monotonic() > end:
            break
    while number := await index.purge(rt.db, _INSTANCE):
        yield {"removed": number}


CHORES = (
    Chore("reputation", timedelta(minutes=1), judge_reputation),
    Chore("message bodies", timedelta(hours=1), erase_messages),
    Chore("old messages", timedelta(days=1), forget_messages),
    Chore("activity", timedelta(seconds=20), sum_activity),
    Chore("deleted lists", timedelta(seconds=10), cleaning.empty_lists),
    Chore("trash", timedelta(hours=6), cleaning.empty_trash),
    Chore("old imports and exports", timedelta(hours=6), cleaning.forget_files),
    Chore("erase again", timedelta(hours=6), cleaning.erase_again),
    Chore("search index", timedelta(seconds=10), index_contacts),  # after those that erase
    Chore("hygiene", timedelta(days=1), cleaning.keep_clean),
    Chore("retention", timedelta(hours=6), cleaning.drop_old),
)


class Chores:
    """Does what is due, one after the other; a chore that fails is tried again later and stops no other."""

    def __init__(self, rt: Runtime, chores: Sequence[Chore] = CHORES) -> None:
        self._rt = rt
        self._chores = chores
        self._aside: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event, held: Go) -> None:
        """Look for what is due until `stop`, while the lease is held."""

        async def go() -> bool:
            return not stop.is_set() and await held()

        while not stop.is_set():
            if await go():
                await self.turn(go)
            await wait(stop, _LOOK_SECONDS)

    async def turn(self, go: Go) -> None:
        """All that is due now; `go` is asked between two transactions."""
        async with self._rt.db.read(_INSTANCE) as tx:
            done = await last_runs(tx, _INSTANCE)
        for chore in self._chores:
            now = self._rt.clock.now()
            aside = self._aside.get(chore.name)
            if is_due(chore, done.get(chore.name), now) and (aside is None or aside <= now) and await go():
                await self._guarded(chore, now, go)

    async def _guarded(self, chore: Chore, now: datetime, go: Go) -> None:
        try:
            await self._do(chore, now, go)
        except Unavailable:
            raise  # it concerns every chore
        except Exception as error:
            log.error("chore failed", chore=chore.name, words=f"{type(error).__name__}: {error}")
            self._aside[chore.name] = now + min(chore.period, _AFTER_FAILURE)

    async def _do(self, chore: Chore, now: datetime, go: Go) -> None:
        total: Counter[str] = Counter()
        async with aclosing(chore.work(self._rt, now)) as pieces:
            async for figures in pieces:
                total.update(figures)
                if not await go():
                    return
        async with self._rt.db.write(_INSTANCE) as tx:
            await record_run(tx, _INSTANCE, name=chore.name, now=now, figures=total)
        tell = log.info if any(total.values()) else log.debug
        tell("chore done", chore=chore.name, **total)


def is_due(chore: Chore, done_at: datetime | None, now: datetime) -> bool:
    """A run in the future is a clock that was put back: it must not keep the chore from being done."""
    return done_at is None or not timedelta(0) <= now - done_at < chore.period


async def last_runs(tx: ReadTx, _instance: InstanceScope) -> dict[str, datetime]:
    """When each chore was last done to its end."""
    rows = await tx.scalars(sa.select(ChoreRun))
    return {row.name: row.done_at for row in rows}


async def record_run(
    tx: WriteTx, _instance: InstanceScope, *, name: str, now: datetime, figures: Figures
) -> None:
    table = table_of(ChoreRun)
    values = {"done_at": now, "figures": dict(figures)}
    statement = insert_into(tx, ChoreRun).values(name=name, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=[table.c.name], set_=values))
