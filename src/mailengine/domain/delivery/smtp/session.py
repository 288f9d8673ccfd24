"""A connection that carries messages from a source until one side ends it.

    session = await open_session(endpoint)
    ending = await session.run(source)     # "drained": idle, may run again
    await session.close()

The work is done in `dialogue`; this is its asynchronous shell: waiting, time limits, cancellation.
"""

import asyncio
from contextlib import suppress

from mailengine.domain.delivery.smtp.dialogue import Dialogue
from mailengine.domain.delivery.smtp.endpoint import Capabilities, Endpoint
from mailengine.domain.delivery.smtp.envelope import Source
from mailengine.domain.delivery.smtp.errors import Ending

_CLOSE_SECONDS = 1.0


class Session:
    """Made by `open_session`. `opened_at` is the event loop's time in seconds; not for two tasks at once."""

    def __init__(self, dialogue: Dialogue, endpoint: Endpoint, capabilities: Capabilities) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialogue = dialogue
        self._endpoint = endpoint
        self._running = False
        self.capabilities = capabilities
        self.opened_at = self._loop.time()

    @property
    def where(self) -> str:
        """host:port of the server at the other end."""
        return self._endpoint.where

    @property
    def sent_count(self) -> int:
        """Messages the server accepted on this connection."""
        return self._dialogue.sent_count

    @property
    def ending(self) -> Ending | None:
        """Why the connection is over, or None while it can be used."""
        return self._dialogue.ending

    async def run(self, source: Source) -> Ending:
        """Send what the source gives until it has no more, `quit` is called or the connection ends.

        Everything taken is settled when this returns or raises. Raises what the source raised. When
        cancelled it drops the connection: to leave without doubt call `quit` and let it return.
        """
        dialogue = self._dialogue
        if self._running:
            raise RuntimeError("this session is running already")
        self._running = True
        dialogue.serve(source)
        watchdog = self._watch()
        try:
            await self._serve(source)
        except asyncio.CancelledError:
            dialogue.end(Ending("aborted", "sending ended before the server answered"))
            raise
        except Exception as error:
            dialogue.crash(error)
            raise
        finally:
            watchdog.cancel()
            self._running = False
        if dialogue.error is not None:
            raise dialogue.error
        dialogue.serve(None)
        return dialogue.ending or Ending("drained", "the source has no more")

    def quit(self) -> None:
        """Take no more from the source; `run` returns once what is in hand has its reply."""
        self._dialogue.stop()

    async def close(self) -> None:
        """Say QUIT when nothing is in hand (RFC 5321 4.1.1.10) and close, within a second."""
        dialogue = self._dialogue
        if dialogue.ending is None and not self._running and dialogue.idle:
            dialogue.say_quit()
        else:
            dialogue.end(Ending("aborted", "the session was closed while messages were in hand"))
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.shield(dialogue.lost)
        dialogue.end(Ending("drained", "the session was closed"))

    async def _serve(self, source: Source) -> None:
        while self.ending is None:
            self._dialogue.start()
            await self._dialogue.rest
            if self._dialogue.halted.done() or not await self._more(source):
                return

    async def _more(self, source: Source) -> bool:
        """Wait for the source, but not longer than the connection lives and `quit` is not called."""
        waiting = asyncio.ensure_future(source.wait())
        try:
            await asyncio.wait((waiting, self._dialogue.halted), return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and waiting.result()
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))

    def _watch(self) -> "_Watchdog":
        shortest = min(self._endpoint.command_timeout_seconds, self._endpoint.data_timeout_seconds)
        return _Watchdog(self._dialogue, shortest / 4)


class _Watchdog:
    """Looks at the deadline now and then: one timer a session, because one a command costs too much.

    A time-out may come a quarter of the shortest limit late.
    """

    def __init__(self, dialogue: Dialogue, interval_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialogue = dialogue
        self._interval_seconds = interval_seconds
        self._timer = self._loop.call_later(interval_seconds, self._tick)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._interval_seconds, self._tick)
        self._dialogue.check_deadline()

    def cancel(self) -> None:
        self._timer.cancel()
