"""The batches of a file, each read in a thread beside the work on the one before."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from mailengine.domain.contacts.imports.source import Batch, Reader, Source

# Seconds that the reading thread keeps the interpreter while the database's thread waits for it, after each of its
# statements: with Python's 5 ms an import takes a tenth longer. For the whole process, and for good.
_TURN = 0.0005


class Batches(AsyncIterator[Batch]):
    """The batches of a file. `read_on` begins with the next one, in a thread: call it when the database is at work on
    the present one. Called earlier, the thread would take turns with the comparison, as only one of them holds
    the interpreter, and have ended when there is something to run beside."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ahead: asyncio.Task[Batch | None] | None = None

    def read_on(self) -> None:
        if self._ahead is None:
            self._ahead = asyncio.create_task(asyncio.to_thread(self._reader.next_batch))

    async def __anext__(self) -> Batch:
        self.read_on()
        assert self._ahead is not None
        batch = await self._ahead
        if batch is None:
            raise StopAsyncIteration
        self._ahead = None
        return batch

    async def close(self) -> None:
        if self._ahead is not None:
            await asyncio.wait([self._ahead])  # a thread cannot be stopped; at most one batch is read in vain
            if not self._ahead.cancelled():
                self._ahead.exception()  # it was raised where it was awaited, or the first error matters more
        self._reader.close()


@asynccontextmanager
async def batches(source: Source, *, now: datetime, skip_records: int = 0) -> AsyncGenerator[Batches]:
    sys.setswitchinterval(_TURN)
    found = Batches(Reader(source, now=now, skip_records=skip_records))
    try:
        yield found
    finally:
        await found.close()
