"""A fast SMTP server that counts: `python -m peers.counting_sink --port 0 --log FILE` prints its port first.

Invariant: every accepted message is one line of JSON in FILE, written with one os.write *before* the 250 is
written to the socket. So whoever read a 250 is in FILE; who is in FILE without one is what "in doubt" means.
It can delay, refuse for now, and drop connections at seeded random points of a transaction.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import uvloop

from peers.ports import LOOPBACK

END_OF_DATA = b"\r\n.\r\n"
MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
PATH = re.compile(r"<([^>]*)>")
# RFC 1870, 2920, 6152, 6531, 2034: what a large receiver offers.
GREETING = (
    b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
    b"250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n"
)
OK = b"250 2.0.0 Ok\r\n"
CHANCES = ("drop_mail", "drop_before", "drop_unsaid", "drop_after", "defer_recipient", "defer_message")


@dataclass
class Sink:
    """What all connections share."""

    log: int
    delay_seconds: float
    chance: dict[str, float]
    random: random.Random
    connections: "count[int]" = field(default_factory=lambda: count(1))
    open: set["Connection"] = field(default_factory=set)

    def happens(self, name: str) -> bool:
        probability = self.chance[name]
        return probability > 0 and self.random.random() < probability


class Connection(asyncio.Protocol):
    """Commands are answered in order; answers to one segment leave in one segment (RFC 2920 section 3.2)."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.number = sink, next(sink.connections)
        self.buffer, self.searched = bytearray(), 0
        self.in_data = self.waiting = False
        self.replies: list[bytes] = []
        self.sender, self.recipients = "", list[str]()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.sink.open.add(self)
        transport.write(b"220 sink.test ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.sink.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.waiting:
            self.advance()

    def advance(self) -> None:
        while not self.transport.is_closing() and not self.waiting:
            if not (self.message() if self.in_data else self.command()):
                break
        self.flush()

    def flush(self) -> None:
        if self.replies and not self.transport.is_closing():
            self.transport.write(b"".join(self.replies))
        self.replies.clear()

    def drop(self) -> None:
        """An RST-like end: nothing more is said, nor read."""
        self.flush()
        self.transport.abort()

    def command(self) -> bool:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        answer = getattr(self, f"do_{line[:4].decode('latin-1').lower().strip()}", None)
        if answer is None:
            self.replies.append(b"500 5.5.2 Unknown command\r\n")
        else:
            answer(line)
        return True

    def do_ehlo(self, line: bytes) -> None:
        self.replies.append(GREETING)

    def do_helo(self, line: bytes) -> None:
        self.replies.append(b"250 sink.test\r\n")

    def do_noop(self, line: bytes) -> None:
        self.replies.append(OK)

    def do_rset(self, line: bytes) -> None:
        self.reset()
        self.replies.append(OK)

    def do_quit(self, line: bytes) -> None:
        self.replies.append(b"221 2.0.0 Bye\r\n")
        self.flush()
        self.transport.close()

    def do_mail(self, line: bytes) -> None:
        if self.sink.happens("drop_mail"):
            return self.drop()
        self.reset()
        self.sender = address(line)
        return self.replies.append(b"250 2.1.0 Ok\r\n")

    def do_rcpt(self, line: bytes) -> None:
        if self.sink.happens("defer_recipient"):
            return self.replies.append(b"450 4.2.1 Try this recipient later\r\n")
        self.recipients.append(address(line))
        return self.replies.append(b"250 2.1.5 Ok\r\n")

    def do_data(self, line: bytes) -> None:
        if not self.recipients:
            return self.replies.append(b"554 5.5.1 No valid recipients\r\n")
        self.in_data, self.searched = True, 0
        return self.replies.append(b"354 End data with <CR><LF>.<CR><LF>\r\n")

    def message(self) -> bool:
        end = self.buffer.find(END_OF_DATA, self.searched)
        if end < 0:
            self.searched = max(0, len(self.buffer) - len(END_OF_DATA) + 1)
            return False
        content = bytes(self.buffer[:end])
        del self.buffer[: end + len(END_OF_DATA)]
        self.in_data = False
        if self.sink.delay_seconds:
            self.flush()
            self.waiting = True
            asyncio.get_running_loop().call_later(self.sink.delay_seconds, self.resume, content)
        else:
            self.decide(content)
        return True

    def resume(self, content: bytes) -> None:
        self.waiting = False
        if not self.transport.is_closing():
            self.decide(content)
            self.advance()

    def decide(self, content: bytes) -> None:
        """Accept, refuse for now, or drop: before it counts, after it counts, or after it was said."""
        if self.sink.happens("drop_before"):
            return self.drop()
        if self.sink.happens("defer_message"):
            return self.replies.append(b"451 4.3.0 Try this message later\r\n")
        self.record(content)
        if self.sink.happens("drop_unsaid"):
            self.replies.clear()
            return self.transport.abort()
        self.replies.append(OK)
        return self.drop() if self.sink.happens("drop_after") else None

    def record(self, content: bytes) -> None:
        found = MESSAGE_ID.search(content, 0, max(content.find(b"\r\n\r\n"), 0) or len(content))
        line = {
            "sender": self.sender,
            "recipients": self.recipients,
            "message_id": found[1].decode() if found else "",
            "connection": self.number,
            "size_bytes": len(content),
        }
        os.write(self.sink.log, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.reset()

    def reset(self) -> None:
        self.sender, self.recipients = "", []


def address(line: bytes) -> str:
    found = PATH.search(line.decode("utf-8", "replace"))
    return found[1] if found else ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay-ms", type=float, default=0, help="before each message is answered")
    parser.add_argument("--seed", type=int, default=0)
    for name in CHANCES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=0, metavar="PROBABILITY")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    chance = {name: getattr(options, name) for name in CHANCES}
    sink = Sink(log, options.delay_ms / 1000, chance, random.Random(options.seed))
    server = await loop.create_server(lambda: Connection(sink), LOOPBACK, options.port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    for connection in list(sink.open):
        connection.transport.abort()


if __name__ == "__main__":
    uvloop.run(serve(arguments()))
