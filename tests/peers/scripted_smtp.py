"""A real SMTP server on the loopback that plays a written dialogue, and says where the client left it.

A script is text, one step a line:

    S: 250 2.1.0 Ok          say this line (consecutive S: lines go in one packet)
    DRIP: 250 2.1.0 Ok       say it one byte a packet
    RAW: 250 no line end     say these bytes, escapes like \\n understood, nothing added
    C: MAIL FROM:<*          expect a command line that matches this glob
    DATA                     read a message up to the lone dot
    BODY 70000               read that many bytes of a message
    TLS                      do the server's side of a TLS handshake
    WAIT released            wait until the test sets that event
    STALL                    read nothing more until the client goes
    EOF                      expect the client to close
    RESET                    drop the connection with a TCP reset
    # remark

After the last step the server closes the connection. The nth connection plays the nth script.
`mismatches` must be empty at the end; `Script` helpers give the usual openings.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

ALL = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
PLAIN = ("SIZE 10000000",)  # no PIPELINING: the client goes command by command


def opening(*extensions: str) -> str:
    """Greeting and EHLO with these extensions (ALL by default; "-" for none)."""
    offered = ["scripted.test", *(e for e in extensions or ALL if e != "-")]
    lines = [f"S: 250-{line}" for line in offered[:-1]] + [f"S: 250 {offered[-1]}"]
    return "\n".join(["S: 220 scripted.test ESMTP", "C: EHLO *", *lines, ""])


def envelope(name: str = "*") -> str:
    """MAIL, RCPT and DATA, all taken."""
    return f"""
        C: MAIL FROM:<*
        S: 250 2.1.0 Ok
        C: RCPT TO:<{name}*
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go ahead
    """


def transaction(name: str = "*", final: str = "250 2.0.0 queued") -> str:
    """A whole message, taken unless `final` says otherwise."""
    return f"{envelope(name)}\nDATA\nS: {final}\n"


RESET = "C: RSET\nS: 250 2.0.0 Ok\n"
QUIT = "C: QUIT\nS: 221 2.0.0 Bye\nEOF\n"


class Mismatch(Exception):
    """The client did something else than the script says."""


class ScriptedSmtp:
    """Use `async with ScriptedSmtp(script, ...) as server`; then `server.port`."""

    def __init__(
        self,
        *scripts: str,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        also: Sequence[str] = (),
    ) -> None:
        self._scripts = list(scripts)
        self._tls = tls
        self._implicit_tls = implicit_tls
        self._also = also  # addresses beside the first, with the same port
        self._players: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.mismatches: list[str] = []
        self.events: dict[str, asyncio.Event] = {}

    def event(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())

    async def __aenter__(self) -> "ScriptedSmtp":
        self._servers = []
        for address in ("127.0.0.1", *self._also):
            tls = self._tls if self._implicit_tls else None
            server = await asyncio.start_server(self._connected, address, self.port, ssl=tls)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for player in list(self._players):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await asyncio.wait((player,))
            player.cancel()
        if self._players:
            await asyncio.wait(self._players)

    async def finished(self) -> None:
        """Wait until every script that was begun has come to its end."""
        while self._players:
            await asyncio.wait(list(self._players))

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[self.connections] if self.connections < len(self._scripts) else ""
        self.connections += 1
        player = asyncio.ensure_future(self._play(script, reader, writer))
        self._players.add(player)
        player.add_done_callback(self._players.discard)

    async def _play(self, script: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        player = _Player(self, reader, writer)
        try:
            for line in _packets(script):
                await player.step(line)
        except (Mismatch, ConnectionError, ssl.SSLError, asyncio.IncompleteReadError) as error:
            self.mismatches.append(f"{type(error).__name__}: {error}")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()


def _packets(script: str) -> Iterator[str]:
    """Script lines, consecutive S: lines joined into one."""
    held: list[str] = []
    for raw in script.splitlines():
        line = raw.strip()
        if line.startswith("S: "):
            held.append(line[3:] + "\r\n")
            continue
        if held:
            yield "PACKET: " + "".join(held)
            held = []
        if line and not line.startswith("#"):
            yield line
    if held:
        yield "PACKET: " + "".join(held)


class _Player:
    """One connection playing one script."""

    def __init__(
        self, server: ScriptedSmtp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        await getattr(self, "_" + word.rstrip(":").lower())(rest)

    async def _packet(self, text: str) -> None:
        self._writer.write(text.encode())
        await self._writer.drain()

    async def _raw(self, text: str) -> None:
        self._writer.write(text.encode().decode("unicode_escape").encode("latin-1"))
        await self._writer.drain()

    async def _drip(self, text: str) -> None:
        for byte in f"{text}\r\n".encode():
            self._writer.write(bytes([byte]))
            await self._writer.drain()
            await asyncio.sleep(0)  # lets the loop flush: one packet a byte

    async def _c(self, pattern: str) -> None:
        line = await self._reader.readuntil(b"\n")
        if not line.endswith(b"\r\n"):
            raise Mismatch(f"a command ends in a bare LF: {line!r}")
        command = line[:-2].decode()
        self._server.commands.append(command)
        if not fnmatchcase(command, re.sub(r"\[", "[[]", pattern)):
            raise Mismatch(f"expected {pattern!r}, got {command!r}")

    async def _data(self, _rest: str) -> None:
        lines: list[bytes] = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        self._server.messages.append(b"".join(lines))

    async def _body(self, size: str) -> None:
        await self._reader.readexactly(int(size))

    async def _tls(self, _rest: str) -> None:
        assert self._server._tls is not None
        await self._writer.start_tls(self._server._tls)

    async def _wait(self, name: str) -> None:
        await self._server.event(name).wait()

    async def _stall(self, _rest: str) -> None:
        """The stream reader's limit stops the transport once a little is unread."""
        await self._server.event("client gone").wait()

    async def _eof(self, _rest: str) -> None:
        rest = await self._reader.read(200)
        if rest:
            raise Mismatch(f"expected the client to close, got {rest!r}")

    async def _reset(self, _rest: str) -> None:
        """SO_LINGER 0 makes close() send RST: what is under way in both directions is lost."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()
