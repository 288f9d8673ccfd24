"""Send processes: as many as the queue is worth, each one replaced when it dies.

None while there is nothing to send, unless `worker.standby` wants some: a process costs memory, and the first one
takes a second or two to start (`nursery.py`). With Redis one always stands by: who asks for wake-ups wants messages
to leave at once.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.daemon import backlog, children, lease
from mailengine.daemon.backlog import Need
from mailengine.daemon.children import Child
from mailengine.daemon.handover import Orders
from mailengine.daemon.naming import holder_of, worker_lease
from mailengine.daemon.nursery import Nursery
from mailengine.daemon.recovery import settle_dead
from mailengine.daemon.restart import Backoff, wait
from mailengine.runtime import Runtime
from mailengine.web.pulse import Pulse

_LOOK_SECONDS = 0.2
_RECOVER_SECONDS = 5.0
_KEPT_SECONDS = 30.0  # workers that the queue is not worth any more wait so long for the next one
_NEVER = float("-inf")
_INSTANCE = InstanceScope("role:worker")

log = get_logger("daemon")


async def run(
    rt: Runtime, stop: asyncio.Event, *, nursery: Nursery, orders: Orders, killed: "Killers", pulse: Pulse
) -> None:
    """Supervise until `stop`; returns when every worker has ended and what it held is settled."""
    crew = Crew(rt, nursery, orders, killed, pulse)
    loop = asyncio.get_running_loop()
    next_recovery = loop.time() + _RECOVER_SECONDS
    await _hold_lease(rt)
    try:
        while not await wait(stop, _LOOK_SECONDS):
            crew.resize(await crew.wanted())
            pulse.workers = crew.size
            if loop.time() >= next_recovery:
                if await _hold_lease(rt):
                    await settle_dead(rt)
                next_recovery = loop.time() + _RECOVER_SECONDS
    finally:
        await crew.end()
        await _give_lease_back(rt)


async def _hold_lease(rt: Runtime) -> bool:
    """For monitors, and for copies of the data directory (`naming.py`): this machine sends. False when a copy has
    taken the name meanwhile: what is claimed under it may be the copy's."""
    with suppress(Unavailable):  # said by those who need the database
        async with rt.db.write(_INSTANCE) as tx:
            held = await lease.take(tx, name=worker_lease(rt), holder=holder_of(rt), now=rt.clock.now())
        if not held:
            log.error("a copy of this data directory was started meanwhile: start this daemon again")
        return held
    return True


async def _give_lease_back(rt: Runtime) -> None:
    with suppress(Unavailable):
        async with rt.db.write(_INSTANCE) as tx:
            await lease.give_back(tx, name=worker_lease(rt), holder=holder_of(rt))


Killers = set[Callable[[], None]]  # what an immediate stop calls


class Crew:
    """The slots that are filled, each by a task that keeps one process running."""

    def __init__(self, rt: Runtime, nursery: Nursery, orders: Orders, killed: Killers, pulse: Pulse) -> None:
        self._nursery = nursery
        self._rt, self._orders, self._killed, self._pulse = rt, orders, killed, pulse
        worker = rt.settings.worker
        self._most = worker.processes or os.cpu_count() or 1
        self._least = max(worker.standby, 1 if rt.settings.queue.backend == "redis" else 0)
        self._slots: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._needed_at = {Need.ONE: _NEVER, Need.ALL: _NEVER}

    async def wanted(self) -> int:
        """How many processes the queue is worth, now or a while ago."""
        now = asyncio.get_running_loop().time()
        try:
            async with self._rt.db.read(_INSTANCE) as tx:
                need = await backlog.need(tx, _INSTANCE, now=self._rt.clock.now())
        except Unavailable as error:
            log.error("cannot see the queue", words=str(error))
            return len(self._slots)
        for level in self._needed_at:
            if need >= level:
                self._needed_at[level] = now
        recent = [level for level, at in self._needed_at.items() if now - at < _KEPT_SECONDS]
        needed = {Need.ALL: self._most, Need.ONE: 1}[max(recent)] if recent else 0
        return max(needed, self._least)

    @property
    def size(self) -> int:
        return len(self._slots)

    def _told(self, told: dict[str, Any]) -> None:
        self._pulse.told(told, self._rt.clock.now())

    def resize(self, wanted: int) -> None:
        while len(self._slots) < wanted:
            retire = asyncio.Event()
            self._slots.append((retire, asyncio.create_task(self._keep(retire))))
        while len(self._slots) > wanted:
            retire, task = self._slots.pop()
            retire.set()
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def end(self) -> None:
        tasks = [*self._leaving, *(task for _retire, task in self._slots)]
        self.resize(0)
        await asyncio.gather(*tasks)
        await settle_dead(self._rt)

    async def _keep(self, retire: asyncio.Event) -> None:
        """One slot: a process, and after its death the next one."""
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while not retire.is_set():
            began = loop.time()
            try:
                child = await children.start(self._nursery, self._orders, self._told)
            except (
                OSError
            ) as error:  # no file descriptor, no memory, no process left: the slot must not end with it
                pause = backoff.after(0)
                log.error("worker cannot start", words=error.strerror or str(error), restart_seconds=pause)
                await wait(retire, pause)
                continue
            log.info("worker started", worker=child.pid)
            await self._until_end(child, retire)
            if retire.is_set():
                log.info("worker ended", worker=child.pid, how=child.how)
                return
            pause = backoff.after(loop.time() - began)
            log.error("worker died", worker=child.pid, how=child.how, restart_seconds=pause)
            await settle_dead(self._rt)
            await wait(retire, pause)

    async def _until_end(self, child: Child, retire: asyncio.Event) -> None:
        self._killed.add(child.kill)
        waits = [asyncio.create_task(event.wait()) for event in (child.ended, retire)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not child.ended.is_set():
                await child.stop()
        finally:
            for each in waits:
                each.cancel()
            self._killed.discard(child.kill)
