"""One worker process as its supervisor sees it."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mailengine.daemon.handover import Orders, dump
from mailengine.daemon.restart import wait

Told = Callable[[dict[str, Any]], object]  # takes what a worker counted

_LONGEST_LINE_BYTES = 1 << 20
_MODULE = "mailengine.daemon.worker_process"
_LATE_SECONDS = 5.0  # above drain_seconds, before a worker that does not end is killed


class Child:
    """A running process; its standard input stays open for as long as it is wanted."""

    def __init__(self, process: asyncio.subprocess.Process, drain_seconds: float, told: Told) -> None:
        self._process = process
        self._told = told
        self._limit_seconds = drain_seconds + _LATE_SECONDS
        self.ended = asyncio.Event()
        self._watch = asyncio.create_task(self._await_end())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def how(self) -> str:
        """How it ended, for the log."""
        code = self._process.returncode
        if code is None:
            return "running"
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
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signum)

    async def _await_end(self) -> None:
        await self._listen()
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.ended.set()

    async def _listen(self) -> None:
        """Its numbers, until it closes its standard output: at its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with suppress(ValueError):  # half a line, of one that was killed while it wrote
                self._told(json.loads(line))


async def start(orders: Orders, told: Told) -> Child:
    """A new worker process; what it needs to know goes through a pipe, and its numbers come back by another."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE_BYTES,
    )
    assert process.stdin is not None
    with suppress(ConnectionError):  # it died at once: that is seen by waiting for it
        process.stdin.write(dump(orders))
        await process.stdin.drain()
    return Child(process, orders.settings.worker.drain_seconds, told)
