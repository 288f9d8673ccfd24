"""All that speaks HTTP, and the flusher of the hits that come in by it: they share one buffer in memory."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn

from mailengine.daemon.restart import keep_running
from mailengine.domain.tracking.intake import HitBuffer, run_flusher
from mailengine.runtime import Runtime
from mailengine.web.app import create_app

_GOODBYE_SECONDS = 5  # a request that is under way may take so long once we stop
_FAILURE = "the web server did not start"


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the supervisor's are in charge."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(rt: Runtime, stop: asyncio.Event, *, listener: socket.socket, hits: HitBuffer) -> None:
    """Serve until `stop`, then write the hits that came in to the end."""
    served = asyncio.Event()
    flusher = asyncio.create_task(
        keep_running("tracker", partial(run_flusher, rt, hits, served), served), name="tracker"
    )
    try:
        await _serve(rt, stop, listener, hits)
    finally:
        served.set()
        await flusher


async def _serve(rt: Runtime, stop: asyncio.Event, listener: socket.socket, hits: HitBuffer) -> None:
    stopping = asyncio.Event()
    config = uvicorn.Config(
        create_app(rt, hits, stopping),
        http="httptools",
        ws="none",
        lifespan="on",
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
