"""Roles are kept apart: one that fails is started again, later each time, and the others go on. And a role that finds
nothing to do looks less often, so that an idle daemon is idle."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mailengine.core.errors import MailengineError
from mailengine.core.log import get_logger

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_STEADY_SECONDS = 60.0  # who ran so long failed for a new reason

_SELDOM_SECONDS, _GROWTH = 1.0, 1.2  # between two looks, reached after some seconds without work

log = get_logger("daemon")


class Backoff:
    """How long to wait after each failure of the same thing."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, ran_seconds: float) -> float:
        """The pause before the next start."""
        self._failures = 1 if ran_seconds > _STEADY_SECONDS else self._failures + 1
        return float(min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** (self._failures - 1)))


class Looks:
    """How long to rest after each look for work: not at all after one that found some, and longer and longer after
    those that found none."""

    def __init__(self, first_seconds: float) -> None:
        self._first_seconds = self._seconds = first_seconds

    def rest(self, *, busy: bool) -> float:
        if busy:
            self._seconds = self._first_seconds
            return 0.0
        rest, self._seconds = self._seconds, min(self._seconds * _GROWTH, _SELDOM_SECONDS)
        return rest


async def keep_running(name: str, run: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run until it returns after `stop`; whatever else it does counts as a failure."""
    loop, backoff = asyncio.get_running_loop(), Backoff()
    while True:
        began = loop.time()
        try:
            # In a task of its own: where a task group failed, its task counts as cancelled, and before Python 3.11.3,
            # which Debian 12 has, the wait below would end this one with it. The role would never start again.
            await asyncio.ensure_future(run())
            words = "it ended by itself"
        except MailengineError as error:
            words = str(error)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            log.debug("role failed", role=name, exc_info=True)
        if stop.is_set():
            return
        pause = backoff.after(loop.time() - began)
        log.error("role failed", role=name, words=words, restart_seconds=pause)
        await wait(stop, pause)


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, but not longer; True when it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
