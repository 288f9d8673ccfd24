"""All that speaks HTTP, and the flusher of the hits that come in by it: they share one buffer in memory."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from mailengine.daemon.garbage import collect_seldom
from mailengine.daemon.http_server import serve
from mailengine.daemon.restart import keep_running
from mailengine.domain.tracking.intake import run_flusher
from mailengine.runtime import Runtime
from mailengine.web.app import create_app
from mailengine.web.pulse import Pulse


async def run(
    rt: Runtime,
    stop: asyncio.Event,
    *,
    listener: socket.socket,
    pulse: Pulse,
    restart: Callable[[], None],
) -> None:
    """Serve until `stop`, then write the hits that came in to the end. `restart` is called when a setting that all
    roles read was stored."""
    served = asyncio.Event()
    flusher = asyncio.create_task(
        keep_running("tracker", partial(run_flusher, rt, pulse.hits, served), served), name="tracker"
    )
    try:
        await _serve(rt, stop, listener, pulse, restart)
    finally:
        served.set()
        await flusher


async def _serve(
    rt: Runtime,
    stop: asyncio.Event,
    listener: socket.socket,
    pulse: Pulse,
    restart: Callable[[], None],
) -> None:
    stopping = asyncio.Event()
    app = create_app(rt, pulse.hits, stopping, pulse, restart)
    collect_seldom()
    await serve(app, listener, stop, stopping, lifespan="on", trusted_proxies=rt.settings.web.trusted_proxies)
