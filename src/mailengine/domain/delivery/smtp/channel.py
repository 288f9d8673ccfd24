"""The bytes of one connection: replies in, flow control, time limits, and one end.

Knows no command. What the replies mean is `dialogue`'s, a subclass, because every call between the two is
made for every message.
"""

import asyncio
from abc import ABC, abstractmethod

from mailengine.domain.delivery.smtp.endpoint import Endpoint
from mailengine.domain.delivery.smtp.errors import Ending
from mailengine.domain.delivery.smtp.lines import ReplyReader

# Content above this is written and drained before its end of data, so that a server that stops reading
# leaves a message that is certainly unsent, not one in doubt. Below, one write is worth more.
BODY_FIRST_BYTES = 64 * 1024


class Channel(asyncio.Protocol, ABC):
    """Owns the transport after the negotiation. `ending` is set once, and then nothing is held."""

    def __init__(self, transport: asyncio.Transport, endpoint: Endpoint) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._command_seconds = endpoint.command_timeout_seconds
        self._data_seconds = endpoint.data_timeout_seconds
        self._reader = ReplyReader()
        self._paused = False
        self._unread_bytes = 0
        self._deadline: float | None = None
        self.ending: Ending | None = None
        self.error: BaseException | None = None  # what the source raised
        self.rest: asyncio.Future[None] = self._loop.create_future()  # nothing in hand, or the end
        self.halted: asyncio.Future[None] = self._loop.create_future()  # no more will be taken
        self.lost: asyncio.Future[None] = self._loop.create_future()  # the transport is gone
        # The low mark of 0 makes "resume" mean "all was handed to the kernel": see BODY_FIRST_BYTES.
        transport.set_write_buffer_limits(high=BODY_FIRST_BYTES, low=0)

    @abstractmethod
    def _on_reply(self, code: int, lines: list[bytes]) -> None:
        """One complete reply."""

    @abstractmethod
    def _on_replies_done(self) -> None:
        """All complete replies of a packet are handled."""

    @abstractmethod
    def _on_body_read(self) -> None:
        """The kernel took all that was written."""

    @abstractmethod
    def _settle(self, reason: str) -> BaseException | None:
        """The connection is over: settle all that is held; return what the source raised."""

    @abstractmethod
    def _limit_seconds(self) -> float | None:
        """How long the server may take for its next reply; None when none is due."""

    @abstractmethod
    def _awaited(self) -> str:
        """What the server is to do, for the message of a time-out."""

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._reader.feed(data)
            for code, lines in replies:
                if self.ending is None:
                    self._on_reply(code, lines)
            if self.ending is not None:
                return
            if self._reader.fault is not None:
                self.end(Ending("protocol", self._reader.fault))
            elif replies:  # half a reply is no progress: a server that drips must not hold us for ever
                self._on_replies_done()
                self._arm()
        except BaseException as error:
            self.crash(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(Ending("dropped", f"the connection was lost: {exc}" if exc else "the server hung up"))
        done(self.lost)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self.ending is None:
            try:
                self._on_body_read()
                self._arm()
            except BaseException as error:
                self.crash(error)

    def check_deadline(self) -> None:
        """End the session when the server let the time pass."""
        if self._deadline is None or self._loop.time() < self._deadline:
            return
        if self._body_moves():
            self._arm()
        else:
            self.end(Ending("timeout", f"timed out waiting for {self._awaited()}"))

    def crash(self, error: BaseException) -> None:
        """The source raised: give back what is held and let `Session.run` raise it."""
        self.error = self.error or error
        self.end(Ending("aborted", f"the source raised {type(error).__name__}"))

    def end(self, ending: Ending) -> None:
        """Drop the connection and settle everything held; only the first call counts."""
        if self.ending is not None:
            return
        self.ending = ending
        self._deadline = None
        self._transport.abort()
        raised = self._settle(ending.detail)
        self.error = self.error or raised
        done(self.rest)
        done(self.halted)

    def _arm(self) -> None:
        limit_seconds = self._limit_seconds()
        self._deadline = None if limit_seconds is None else self._loop.time() + limit_seconds

    def _body_moves(self) -> bool:
        """Whether a slow server still reads; a large message may take longer than one time-out."""
        if not self._paused:
            return False
        before, self._unread_bytes = self._unread_bytes, self._transport.get_write_buffer_size()
        return self._unread_bytes < before


def done(future: asyncio.Future[None]) -> None:
    """Complete a future that several events may complete."""
    if not future.done():
        future.set_result(None)
