"""Roles are kept apart: one that fails is started again, later each time, and the others go on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mailengine.core.errors import MailengineError
from mailengine.core.log import get_logger

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_STEADY_SECONDS = 60.0  # who ran so long failed for a new reason

log = get_logger("daemon")


class Backoff:
    """How long to wait after each failure of the same thing."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, ran_seconds: float) -> float:
        """The pause before the next start."""
        self._failures = 1 if ran_seconds > _STEADY_SECONDS else self._failures + 1
        return float(min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** (self._failures - 1)))


async def keep_running(name: str, run: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run until it returns after `stop`; whatever else it does counts as a failure."""
    loop, backoff = asyncio.get_running_loop(), Backoff()
    while True:
        began = loop.time()
        try:
            await run()
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
