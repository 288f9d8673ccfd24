"""A web server (HTTPS, loopback) that serves an MTA-STS policy, well or badly."""

import asyncio
import ssl

TEXT = "text/plain; charset=utf-8"


class PolicyHost:
    """Use `async with PolicyHost(context) as host`. `requests` holds the head of each request."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self.port = 0
        self.requests: list[str] = []
        self.body = b""
        self.status = "200 OK"
        self.content_type = TEXT
        self.extra = ""
        self.silent = False

    def serve(self, *lines: str) -> None:
        """The policy of these lines."""
        self.status, self.content_type = "200 OK", TEXT
        self.body = "".join(f"{line}\r\n" for line in lines).encode()

    async def __aenter__(self) -> "PolicyHost":
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.silent:
                await reader.read()
            head = f"HTTP/1.1 {self.status}\r\nContent-Type: {self.content_type}\r\n{self.extra}"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
