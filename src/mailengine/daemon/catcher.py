"""`python -m mailengine.daemon.catcher MAILDIR`: takes all mail and delivers none, for the demo and development.

A real SMTP server (aiosmtpd) on loopback that stores each message in a Maildir, then says 250. Prints its port
as the first line of standard output and ends when standard input closes or on SIGTERM.
"""

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

HOST = "127.0.0.1"
_MOST_BYTES = 50_000_000
_CHUNK_BYTES = 1 << 16


class Maildir:
    """Stores messages as an MDA does: written in tmp, complete when it appears in new."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names = count()
        for folder in ("tmp", "new", "cur"):
            (root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def store(self, envelope: Envelope) -> None:
        """One file a message; its envelope in the header fields that aiosmtpd's own handlers write."""
        name = f"{os.getpid()}.{next(self._names):07d}"
        content = (envelope.original_content or b"").replace(b"\r\n", b"\n")
        head = f"X-MailFrom: {envelope.mail_from}\nX-RcptTo: {', '.join(envelope.rcpt_tos)}\n"
        draft = self._root / "tmp" / name
        draft.write_bytes(head.encode() + content)
        draft.rename(self._root / "new" / name)


class Handler:
    """aiosmtpd calls `handle_DATA` for every message."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self._maildir.store(envelope)
        return "250 2.0.0 caught"


class Server(SMTP):
    """aiosmtpd, but for the reading of messages: line by line it takes 8 ms for a newsletter."""

    line_length_limit = _CHUNK_BYTES

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """RFC 5321 4.1.1.4. Nothing follows the end of data before our reply: PIPELINING is not offered."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._content()
        if content is None:
            await self.push("421 4.3.0 the message is too large or broke off")
            self._writer.close()
            return
        envelope.original_content = envelope.content = content
        await self.push(await self._call_handler_hook("DATA"))
        self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def _content(self) -> bytes | None:
        """The message, leading dots restored (RFC 5321 4.5.2); None when it broke off or is too large."""
        received = bytearray(b"\r\n")
        while not received.endswith(b"\r\n.\r\n"):
            chunk = await self._reader.read(_CHUNK_BYTES)
            self._reset_timeout()
            received += chunk
            if not chunk or len(received) > _MOST_BYTES:
                return None
        return bytes(received[2:-3]).replace(b"\r\n.", b"\r\n")


async def serve(root: Path) -> None:
    """Until SIGTERM or the end of standard input."""
    loop, stop, handler = asyncio.get_running_loop(), asyncio.Event(), Handler(Maildir(root))

    def connection() -> Server:
        # A name of its own: aiosmtpd would ask the DNS for one at each connection.
        return Server(
            handler, loop=loop, hostname="catcher.localhost", ident="mailengine catcher",
            data_size_limit=_MOST_BYTES, enable_SMTPUTF8=True,
        )  # fmt: skip

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            stop.set()

    server = await loop.create_server(connection, HOST, 0)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), heard)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await stop.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the demo, which closes our input
    asyncio.run(serve(Path(sys.argv[1])))
