"""The web app on a real port, in the test's own loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn

from mailengine.domain.tracking.intake import HitBuffer
from mailengine.runtime import Runtime
from mailengine.web.app import create_app

GOODBYE_SECONDS = 5


class Server(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listener() -> socket.socket:
    """A listening socket on a free loopback port, so that the settings can name it before the server runs."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(128)
    return bound


@asynccontextmanager
async def serving(rt: Runtime, bound: socket.socket, stopping: asyncio.Event) -> AsyncIterator[HitBuffer]:
    """Serve until the block ends; then the server stops as the daemon stops it."""
    hits = HitBuffer()
    config = uvicorn.Config(
        create_app(rt, hits, stopping),
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield hits
    finally:
        stopping.set()
        server.should_exit = True
        await task
