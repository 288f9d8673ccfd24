"""One worker process as its supervisor sees it."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from mailengine.daemon.handover import Orders, dump
from mailengine.daemon.nursery import Born, Nursery
from mailengine.daemon.restart import wait

Told = Callable[[dict[str, Any]], object]  # takes what a worker counted

_LONGEST_LINE_BYTES = 1 << 20
_LATE_SECONDS = 5.0  # above drain_seconds, before a worker that does not end is killed


class Child:
    """A running process; the pipe of its orders stays open for as long as it is wanted."""

    def __init__(
        self, born: Born, orders_to: int, numbers: asyncio.StreamReader, drain_seconds: float, told: Told
    ) -> None:
        self._born, self._orders_to, self._numbers = born, orders_to, numbers
        self._told = told
        self._limit_seconds = drain_seconds + _LATE_SECONDS
        self.ended = asyncio.Event()
        self._watch = asyncio.create_task(self._await_end())

    @property
    def pid(self) -> int:
        return self._born.pid

    @property
    def how(self) -> str:
        """How it ended, for the log."""
        if not self._born.ended.done():
            return "running"
        code = os.waitstatus_to_exitcode(self._born.ended.result())
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    async def stop(self) -> None:
        """Let it finish what is on the wire; kill it when that takes too long."""
        self._send(signal.SIGTERM)
        if not await wait(self.ended, self._limit_seconds):
            self.kill()
            await self.ended.wait()

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, signum: signal.Signals) -> None:
        if not self._born.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    async def _await_end(self) -> None:
        await self._listen()
        await self._born.ended
        os.close(self._orders_to)
        self.ended.set()

    async def _listen(self) -> None:
        """Its numbers, until it closes their pipe: at its end."""
        async for line in self._numbers:
            with suppress(ValueError):  # half a line, of one that was killed while it wrote
                self._told(json.loads(line))


async def start(nursery: Nursery, orders: Orders, told: Told) -> Child:
    """A new worker process; what it needs to know goes through a pipe, and its numbers come back by another. Raises
    OSError when there is no room for one."""
    with ExitStack() as ours, ExitStack() as theirs:
        reads, orders_to = _pipe(theirs, ours)
        numbers_from, writes = _pipe(ours, theirs)
        born = await nursery.start(reads, writes)
        theirs.close()
        with suppress(BrokenPipeError):  # it died at once: that is seen by waiting for it
            os.write(orders_to, dump(orders))
        reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(numbers_from, "rb", buffering=0)
        )
        ours.pop_all()
    return Child(born, orders_to, reader, orders.settings.worker.drain_seconds, told)


def _pipe(read_end: ExitStack, write_end: ExitStack) -> tuple[int, int]:
    reads, writes = os.pipe()
    read_end.callback(os.close, reads)
    write_end.callback(os.close, writes)
    return reads, writes
