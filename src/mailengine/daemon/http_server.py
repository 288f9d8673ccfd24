"""uvicorn inside our loop, on a socket that the supervisor holds, until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import uvicorn

_GOODBYE_SECONDS = 5  # a request that is under way may take so long once we stop
_FAILURE = "the web server did not start"


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the supervisor's are in charge."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Any,
    listener: socket.socket,
    stop: asyncio.Event,
    stopping: asyncio.Event,
    *,
    lifespan: Literal["on", "off"],
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve an ASGI application; `stopping` is set before connections are closed."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan=lifespan,
        forwarded_allow_ips=list(trusted_proxies),
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    server = Server(config)
    ending = asyncio.create_task(_end(server, stop, stopping))
    try:
        # A copy, because uvicorn closes what it was given: the next start needs the port still bound.
        await server.serve(sockets=[listener.dup()])
        if not server.started:
            raise RuntimeError(_FAILURE)
    finally:
        ending.cancel()


async def _end(server: Server, stop: asyncio.Event, stopping: asyncio.Event) -> None:
    """Event streams end first: a server that waits for them would never be done."""
    await stop.wait()
    stopping.set()
    server.should_exit = True
