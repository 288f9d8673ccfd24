"""The mail transactions of one connection: a state machine driven by the server's replies.

It runs inside the transport's callbacks, so that a message costs no task switch. Each command written
adds to `_expected`; each reply takes from it, in order (RFC 2920 3.1 keeps the order of replies).

Where the server offers PIPELINING a packet holds one message's content, its end of data and the next
message's MAIL, RCPT and DATA: one round trip a message. Without it the same steps go one by one.
"""

import asyncio
from collections import deque
from enum import Enum

from mailengine.domain.delivery.smtp import framing
from mailengine.domain.delivery.smtp.channel import BODY_FIRST_BYTES, Channel, done
from mailengine.domain.delivery.smtp.endpoint import Capabilities, Endpoint
from mailengine.domain.delivery.smtp.envelope import Envelope, Source, Stage
from mailengine.domain.delivery.smtp.errors import Ending
from mailengine.domain.delivery.smtp.held import Held
from mailengine.mail.replies import Reply, parse_reply

_END_OF_DATA = b".\r\n"


class Step(Enum):
    """What the next reply answers."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    FINAL = "the end of data"
    RSET = "RSET"
    EMPTY = "an empty message"  # the lone dot after a 354 that came in spite of a refusal
    QUIT = "QUIT"


# Module names, because looking a member up on its Enum is slow and this is the hot path.
_MAIL, _RCPT, _DATA, _FINAL, _RSET = Step.MAIL, Step.RCPT, Step.DATA, Step.FINAL, Step.RSET
_TRANSACTION = (_MAIL, _RCPT, _DATA)


class Dialogue(Channel):
    """What the session drives: `serve` a source, `start`, and wait for `rest`."""

    def __init__(self, transport: asyncio.Transport, endpoint: Endpoint, capabilities: Capabilities) -> None:
        super().__init__(transport, endpoint)
        self._capabilities = capabilities
        self._pipelining = capabilities.pipelining
        self._held: Held | None = None
        self._expected: deque[Step] = deque()
        self._unwritten: deque[tuple[Step, bytes]] = deque()  # without PIPELINING: the commands to come
        self._reset_due = False  # a refusal left a transaction open, or may have
        self.sent_count = 0
        self.stopping = False

    # What the session asks

    @property
    def idle(self) -> bool:
        """Nothing is in hand and no reply is due."""
        return not self._expected and (self._held is None or self._held.leaving is None)

    def serve(self, source: Source | None) -> None:
        self._held = None if source is None else Held(source)

    def start(self) -> None:
        """Take from the source until it has nothing; `rest` is done then."""
        self.rest = self._loop.create_future()
        try:
            self._begin_next()
            self._arm()
        except Exception as error:
            self.crash(error)

    def stop(self) -> None:
        """Take no more; what is in hand goes on."""
        self.stopping = True
        done(self.halted)

    def say_quit(self) -> None:
        self._expected.append(Step.QUIT)
        self._transport.write(b"QUIT\r\n")
        self._arm()

    # Replies

    def _on_replies_done(self) -> None:
        if self.idle:
            self._begin_next()

    def _on_reply(self, code: int, lines: list[bytes]) -> None:
        if code == 421:
            self._on_closing(parse_reply(lines))
            return
        held = self._held
        if not self._expected:
            self._on_unexpected(parse_reply(lines))
            return
        step = self._expected.popleft()
        if code < 300 and (step is _MAIL or step is _RCPT) and not self._unwritten:
            return  # half of all replies: pipelined, nothing follows from them
        if 300 <= code < 400 and step is not _DATA:
            self._desynchronised(step, code)
        elif held is None:
            self._on_quit()
        elif step is _FINAL:
            self._on_final(held, code, lines)
        elif step is _DATA:
            self._on_data(held, code, lines)
        elif code < 300 or step is Step.EMPTY:
            self._on_step_done(step)
        elif step is _RSET:
            self._desynchronised(step, code)
        else:
            self._on_envelope_refused(held, "mail" if step is _MAIL else "rcpt", parse_reply(lines))

    def _on_quit(self) -> None:
        self.end(Ending("drained", "the session was closed"))

    def _on_step_done(self, step: Step) -> None:
        if step is _RSET:
            self._reset_due = False
        if self._unwritten:
            self._write_next_command()

    def _on_envelope_refused(self, held: Held, stage: Stage, reply: Reply) -> None:
        """The first refusal is the one that counts; pipelined, replies to the rest of the group follow."""
        held.refusal = held.refusal or (stage, reply)
        self._reset_due = True
        if not self._pipelining:
            self._unwritten.clear()
            held.refuse_current()

    def _on_data(self, held: Held, code: int, lines: list[bytes]) -> None:
        if code == 354:
            if held.refusal is None:
                self._send_content(held)
            else:
                self._send_nothing(held)
        elif code >= 400:
            held.refusal = held.refusal or ("data", parse_reply(lines))
            self._reset_due = True
            held.refuse_current()
        else:
            self._desynchronised(_DATA, code)

    def _on_final(self, held: Held, code: int, lines: list[bytes]) -> None:
        if code < 300:
            self.sent_count += 1
            held.accept_on_wire(parse_reply(lines))
        else:
            held.refuse_on_wire(parse_reply(lines))

    def _on_closing(self, reply: Reply) -> None:
        """421 may answer any command, or none (RFC 5321 3.8): the session is over.

        In the place of a final reply it refuses for now: a server that had accepted would have said so.
        """
        if self._held is not None and self._held.on_wire is not None:
            self._held.refuse_on_wire(reply)
        self.end(Ending("closing", f"the server closes the session: {reply.code} {reply.text}", reply))

    def _on_unexpected(self, reply: Reply) -> None:
        """A reply to nothing. While content is written, a server may refuse it before its end (552)."""
        if self._held is not None and self._held.leaving is not None and reply.code >= 400:
            self._held.refuse_leaving(reply)
            self.end(Ending("closing", "the server refused a message before its end", reply))
        else:
            self.end(Ending("protocol", f"a reply that no command asked for: {reply.code}", reply))

    def _desynchronised(self, step: Step, code: int) -> None:
        self.end(Ending("protocol", f"{code} is no answer to {step.value}"))

    # Commands and content

    def _begin_next(self) -> None:
        """With nothing in hand: start the next envelope, or rest."""
        commands = self._open_next(self._held) if self._held is not None else b""
        if commands:
            self._transport.write(commands)
        else:
            done(self.rest)

    def _open_next(self, held: Held) -> bytes:
        """Take the next envelope that this server can take; return its commands, as many as may go now."""
        envelope = self._take(held)
        if envelope is None:
            return b""
        mail, rcpt, data = framing.commands(envelope, self._capabilities)
        if self._pipelining:
            if self._reset_due:
                self._expected.append(_RSET)
                mail = b"RSET\r\n" + mail
            self._expected.extend(_TRANSACTION)
            return mail + rcpt + data
        self._unwritten.extend(((_MAIL, mail), (_RCPT, rcpt), (_DATA, data)))
        if self._reset_due:
            self._unwritten.appendleft((_RSET, b"RSET\r\n"))
        step, command = self._unwritten.popleft()
        self._expected.append(step)
        return command

    def _take(self, held: Held) -> Envelope | None:
        while not self.stopping:
            envelope = held.current = held.source.next()
            if envelope is None:
                return None
            held.refusal = framing.objection(envelope, self._capabilities)
            if held.refusal is None:
                return envelope
            held.refuse_current()
        return None

    def _write_next_command(self) -> None:
        step, command = self._unwritten.popleft()
        self._expected.append(step)
        self._transport.write(command)

    def _send_content(self, held: Held) -> None:
        assert held.current is not None
        content = framing.stuffed(held.current)
        held.leaving, held.current = held.current, None
        if len(content) > BODY_FIRST_BYTES:
            self._transport.write(content)
            content = b""
        if self._paused and not content:
            self._unread_bytes = self._transport.get_write_buffer_size()
        else:
            self._finish_content(held, content)

    def _finish_content(self, held: Held, content: bytes) -> None:
        """Write the end of data, and behind it the next envelope's commands (RFC 2920 3.1)."""
        if self._transport.is_closing():
            return  # connection_lost follows and gives the envelope back
        self._expected.append(_FINAL)
        following = self._open_next(held) if self._pipelining else b""
        held.mark_on_wire()
        self._transport.write(content + _END_OF_DATA + following)

    def _send_nothing(self, held: Held) -> None:
        """RFC 2920 3.1: DATA got 354 though the recipient was refused; a lone dot sends to nobody.

        Where it was MAIL that was refused the server may hold the recipient in some transaction of its
        own, and the dot would send an empty message: better to drop the connection.
        """
        if held.refusal is not None and held.refusal[0] == "mail":
            self._desynchronised(_DATA, 354)
            return
        self._expected.append(Step.EMPTY)
        self._transport.write(_END_OF_DATA)
        held.refuse_current()

    def _on_body_read(self) -> None:
        if self._held is not None and self._held.leaving is not None:
            self._finish_content(self._held, b"")

    # Time limits and the end

    def _limit_seconds(self) -> float | None:
        held = self._held
        if held is not None and (held.on_wire is not None or held.leaving is not None):
            return self._data_seconds
        return self._command_seconds if self._expected else None

    def _awaited(self) -> str:
        return f"a reply to {self._expected[0].value}" if self._expected else "the server to read a message"

    def _settle(self, reason: str) -> BaseException | None:
        return None if self._held is None else self._held.settle_all(reason)
