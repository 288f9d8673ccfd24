"""The claims in hand: every outcome is written in batches, and a finished claim gives up its journal.

A database that does not answer only delays: outcomes stay here and in the journals until it does.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from mailengine.core.clock import Clock
from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.db.unit import Database
from mailengine.domain.delivery.batch import Batch
from mailengine.domain.delivery.claim import LEASE
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.tally import Tally

PARTIAL_SECONDS = 0.5  # progress of a slow relay is written this often
FAULT_SECONDS = 1.0  # between tries while the database does not answer
_LAST_TRIES = 5  # at the end; the journals keep what the database does not take
_SAFE_SECONDS = LEASE.total_seconds() * 0.8  # of a lease: clocks of machines differ
_RENEW_SECONDS = LEASE.total_seconds() * 0.4

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
log = get_logger("worker")


class Hand:
    """One per worker; `write` runs beside the lanes. `on_written` is called when a claim has
    ended."""

    def __init__(self, db: Database, clock: Clock, tally: Tally) -> None:
        self._db = db
        self._tally = tally
        self._clock = clock
        self.on_written: Callable[[], object] = lambda: None
        self._batches: dict[str, Batch] = {}
        self._due = asyncio.Event()
        self._drained = False

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches.values())

    def add(self, batch: Batch) -> None:
        """From here on the batch's outcomes are written."""
        batch.written_at = boot_seconds()
        batch.deadline = batch.written_at + _SAFE_SECONDS
        self._batches[batch.claim_token] = batch
        self._tally.note_claim(batch.claim_seconds, batch.open)

    def on_outcome(self, batch: Batch) -> None:
        if batch.open == 0:
            batch.settled_at = boot_seconds()
            self._due.set()

    def drained(self) -> None:
        """Nothing is on the wire any more: write what is left and end."""
        self._drained = True
        self._due.set()

    async def write(self) -> None:
        while not self._drained:
            with suppress(TimeoutError):
                async with asyncio.timeout(PARTIAL_SECONDS):
                    await self._due.wait()
            self._due.clear()
            await self._write_due()
        for _ in range(_LAST_TRIES):
            await self._write_due(everything=True)
            if not self._batches:
                return

    async def _write_due(self, *, everything: bool = False) -> None:
        now = boot_seconds()
        for batch in list(self._batches.values()):
            partial = everything or now - batch.written_at >= PARTIAL_SECONDS
            old = batch.deadline - now < _RENEW_SECONDS
            if batch.open == 0 or old or (batch.outcomes and partial):
                try:
                    await self._write_batch(batch)
                except Unavailable as error:
                    log.error("cannot record outcomes, they are kept and tried again", words=str(error))
                    await asyncio.sleep(FAULT_SECONDS)
                    return

    async def _write_batch(self, batch: Batch) -> None:
        outcomes, whole = list(batch.outcomes), batch.open == 0
        now = self._clock.now()
        async with self._db.write(batch.scope) as tx:
            if outcomes:
                await batch.record(tx, outcomes, now=now)
                untried = sum(not result.tried for result in outcomes)
                await buckets.give_back(tx, batch.scope, batch.rates, count=untried, now=now)
            renewed = not whole and batch.deadline - boot_seconds() < _RENEW_SECONDS
            if renewed:
                await batch.renew(tx, now=now)
        del batch.outcomes[: len(outcomes)]
        self._tally.note_outcomes(outcomes)
        self._tally.answers.note(batch.answer_seconds)
        batch.answer_seconds.clear()
        batch.written_at = boot_seconds()
        if renewed:
            batch.deadline = batch.written_at + _SAFE_SECONDS
        if whole:
            del self._batches[batch.claim_token]
            batch.journal.remove()
            batch.finished()
            self.on_written()


def boot_seconds() -> float:
    """Seconds that go on while the machine sleeps: a lease must not outlive a suspended laptop."""
    return time.clock_gettime(_CLOCK)
