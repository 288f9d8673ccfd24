"""The health port: how this process and the installation do, whichever roles run here (P75-07).

Meant for the machine itself or a private network: it asks for no credential, and tells nothing about anybody. Raw
ASGI: a process that only sends needs no web framework for five answers.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from mailengine.core.errors import MailengineError
from mailengine.daemon.http_server import serve
from mailengine.runtime import Runtime
from mailengine.web.condition import condition, database_problem, worker_condition
from mailengine.web.pulse import Pulse

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"

Answer = tuple[int, str, bytes]


async def run(rt: Runtime, stop: asyncio.Event, *, listener: socket.socket, pulse: Pulse) -> None:
    """Answer until `stop`."""
    await serve(Asgi(rt, pulse), listener, stop, asyncio.Event(), lifespan="off")


class Asgi:
    """GET and HEAD of /livez, /readyz, /health, /worker and /metrics."""

    def __init__(self, rt: Runtime, pulse: Pulse) -> None:
        self._rt, self._pulse = rt, pulse
        self._routes: dict[str, Callable[[], Awaitable[Answer]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/health": self._health,
            "/worker": self._worker,
            "/metrics": self._metrics,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = await self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, method: str, path: str) -> Answer:
        route = self._routes.get(path)
        if route is None:
            return 404, _TEXT, b"there is /livez, /readyz, /health, /worker and /metrics"
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET"
        try:
            return await route()
        except MailengineError as error:  # the database went away between two questions
            return 503, _TEXT, str(error).encode()

    async def _livez(self) -> Answer:
        return 200, _TEXT, b"ok"

    async def _readyz(self) -> Answer:
        problem = await database_problem(self._rt)
        return (503 if problem else 200), _TEXT, (problem or "ok").encode()

    async def _health(self) -> Answer:
        found = await condition(self._rt, self._pulse)
        return (200 if found.status == "ok" else 503), _JSON, msgspec.json.encode(found)

    async def _worker(self) -> Answer:
        found = await worker_condition(self._rt, self._pulse)
        here = "worker" in self._pulse.roles and found.condition.database == "ok"
        return (200 if here else 503), _JSON, msgspec.json.encode(found)

    async def _metrics(self) -> Answer:
        from mailengine.web.metrics import CONTENT_TYPE, scrape  # prometheus_client, for those who scrape

        return 200, CONTENT_TYPE, await scrape(self._rt, self._pulse)
