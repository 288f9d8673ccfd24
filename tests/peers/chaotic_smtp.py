"""An SMTP server that misbehaves by chance, from a seed, and keeps its own books of what it got and said.

Its books are the truth a client's ledger is compared with: `completed` are messages whose end of data
arrived, `confirmed` those whose 2xx was written. Names are the local parts of recipients.
"""

import asyncio
import contextlib
from random import Random

_REFUSALS = ("450 4.7.1 not now", "550 5.7.1 never")


class _Hangup(Exception):
    """Chance ends the connection here."""


class ChaoticSmtp:
    """`mischief` is the chance, at each step, of anything but the plain answer."""

    def __init__(self, random: Random, *, pipelining: bool, mischief: float) -> None:
        self._random = random
        self._mischief = mischief
        self._extensions = b"250-PIPELINING\r\n" if pipelining else b""
        self.completed: list[str] = []
        self.confirmed: list[str] = []
        self.port = 0

    async def __aenter__(self) -> "ChaoticSmtp":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(_Hangup, ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 chaos.test\r\n")
            await reader.readuntil(b"\r\n")
            writer.write(b"250-chaos.test\r\n" + self._extensions + b"250 ENHANCEDSTATUSCODES\r\n")
            await self._transactions(reader, writer)
        if self._random.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()

    async def _transactions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mail = recipient = False
        name = ""
        while True:
            line = (await reader.readuntil(b"\r\n")).decode().rstrip()
            verb = line[:4].upper()
            if verb == "QUIT":
                writer.write(b"221 2.0.0 bye\r\n")
                return
            if verb == "DATA":
                if recipient or self._random.random() < 0.5:
                    await self._message(reader, writer, name if recipient else None)
                else:
                    await self._say(writer, "554 5.5.1 no valid recipients")
                mail = recipient = False if recipient else mail
                continue
            good = verb == "RSET" or (verb == "MAIL" and not mail) or (verb == "RCPT" and mail)
            said = await self._say(writer, "250 2.0.0 Ok" if good else "503 5.5.1 out of order")
            if verb == "RSET":
                mail = recipient = False
            elif verb == "MAIL":
                mail = mail or said.startswith("2")
            else:
                recipient = said.startswith("2")
                name = line.partition("<")[2].partition("@")[0]

    async def _message(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str | None
    ) -> None:
        """DATA's reply, the content, the final reply. Without a name there is no recipient to confirm."""
        if not (await self._say(writer, "354 go ahead")).startswith("354"):
            return
        while await reader.readuntil(b"\r\n") != b".\r\n":
            pass
        if name is None:
            await self._say(writer, "554 5.5.1 no valid recipients")
            return
        self.completed.append(name)
        if (await self._say(writer, "250 2.0.0 queued")).startswith("250"):
            self.confirmed.append(name)

    async def _say(self, writer: asyncio.StreamWriter, plain: str) -> str:
        """Write this reply, or by chance another one, half of one, nonsense, or nothing and hang up."""
        reply = plain
        if self._random.random() < self._mischief:
            reply = self._random.choice((*_REFUSALS, "421 4.3.2 closing", "nonsense", "half", "silence"))
        if reply == "silence":
            raise _Hangup
        if reply == "half":
            writer.write(plain.encode()[: self._random.randrange(1, len(plain))])
            raise _Hangup
        if self._random.random() < 0.3 and reply[3:4] == " ":
            writer.write(f"{reply[:3]}-and more\r\n".encode())
        await self._write_split(writer, f"{reply}\r\n".encode())
        if reply.startswith("421"):
            raise _Hangup
        return reply

    async def _write_split(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._random.random() < 0.3:
            cut = self._random.randrange(1, len(data))
            writer.write(data[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            data = data[cut:]
        writer.write(data)
