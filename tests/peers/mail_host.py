"""A mail host that counts who is connected at a time, in this test's event loop."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from peers.ports import LOOPBACK, free_port


class MailHost:
    """`async with MailHost() as host`. It answers each message after `delay_seconds`; `greeting` may refuse."""

    def __init__(self, *addresses: str, delay_seconds: float = 0.0) -> None:
        self.greetings: dict[str, str] = {}  # by the address that is connected to, instead of a welcome
        self.recipients: list[str] = []
        self.visits: list[str] = []  # the address of each connection
        self.most = 0  # at a time
        self._open: set[asyncio.StreamWriter] = set()
        self._addresses: Sequence[str] = addresses or (LOOPBACK,)
        self._delay_seconds = delay_seconds
        self.port = free_port()

    async def __aenter__(self) -> "MailHost":
        self._server = await asyncio.start_server(self._serve, self._addresses, self.port, backlog=1000)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        while self._open:
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.most = max(self.most, len(self._open))
        address = writer.get_extra_info("sockname")[0]
        self.visits.append(address)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer, self.greetings.get(address))
        writer.close()
        self._open.discard(writer)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refusal: str | None
    ) -> None:
        writer.write(f"{refusal or '220 host.test ESMTP'}\r\n".encode())
        while refusal is None and (line := await reader.readline()):
            verb = line[:4].upper()
            if verb == b"RCPT":
                self.recipients.append(line.decode().partition("<")[2].partition(">")[0])
            if verb == b"DATA":
                writer.write(b"354 go ahead\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await asyncio.sleep(self._delay_seconds)
            writer.write(
                {b"QUIT": b"221 bye\r\n", b"EHLO": b"250-host.test\r\n250 PIPELINING\r\n"}.get(
                    verb, b"250 ok\r\n"
                )
            )
            if verb == b"QUIT":
                return
