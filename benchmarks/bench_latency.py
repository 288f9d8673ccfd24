"""From queueing a transactional message to the DATA command at the server, with a worker that stands by.

The daemon is real; messages are queued one after the other by another process, as a web application's would be, and
the server is a few lines that note when DATA came.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.house import House, daemon, house
from benchmarks.report import Row
from benchmarks.stage import databases
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from peers.availability import LACKING
from peers.redis_server import RedisServer

GOAL_MS = 50
_WARM = 3
_PAUSE_SECONDS = 0.12
_LIMIT_SECONDS = 120  # the first waits for the daemon to start


def run(quick: bool) -> list[Row]:
    """Rows of `make bench`; what needs a server that this machine lacks is left out."""
    return asyncio.run(_run(20 if quick else 100))


async def _run(count: int) -> list[Row]:
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailengine-bench-")))
        kinds = stack.enter_context(databases())
        for name, url in kinds:
            rows += _rows(f"{name}, no Redis", await _latencies(url(), count))
        if LACKING["redis"]() is None:
            redis = RedisServer(folder / "redis.log")
            stack.callback(redis.stop)
            for name, url in kinds:
                rows += _rows(f"{name}, Redis", await _latencies(url(), count, redis_url=redis.url))
    return rows


def _rows(name: str, milliseconds: list[float]) -> list[Row]:
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    values = {"median": statistics.median(milliseconds), "95 % within": p95}
    return [
        {
            "name": f"transactional latency, {name}, {what}",
            "value": round(value, 1),
            "unit": "ms",
            "baseline": GOAL_MS,
            "ratio": round(value / GOAL_MS, 2),
            "baseline_name": "goal",
        }
        for what, value in values.items()
    ]


async def _latencies(url: str | None, count: int, *, redis_url: str | None = None) -> list[float]:
    sections: dict[str, Any] = {}
    environment = {"MAILENGINE_WORKER_STANDBY": "1"}
    if redis_url is not None:
        sections = {"queue": {"backend": "redis"}, "redis": {"url": redis_url}}
        environment |= {"MAILENGINE_QUEUE_BACKEND": "redis", "MAILENGINE_REDIS_URL": redis_url}
    async with _server() as (port, arrivals), house(url, recipients=1, port=port, **sections) as made:
        with daemon(made.rt.settings, 1, **environment):
            measured = [await _one(made, arrivals) for _ in range(_WARM + count)]
    return [seconds * 1000 for seconds in measured[_WARM:]]


async def _one(made: House, arrivals: "asyncio.Queue[float]") -> float:
    message = OutgoingMessage(
        "reader@example.org", "Your code", "Your code is 123456.", sender="noreply@example.org"
    )
    began = time.perf_counter()
    async with made.rt.db.write(made.scope) as tx:
        await queue_message(tx, made.scope, message, now=made.rt.clock.now())
    async with asyncio.timeout(_LIMIT_SECONDS):
        arrived = await arrivals.get()
    await asyncio.sleep(_PAUSE_SECONDS)
    return arrived - began


@asynccontextmanager
async def _server() -> "AsyncIterator[tuple[int, asyncio.Queue[float]]]":
    """An SMTP server that takes everything and notes when each DATA came."""
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 bench ESMTP\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    arrivals.put_nowait(time.perf_counter())
                    writer.write(b"354 go ahead\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(b"250 2.0.0 Ok\r\n")
                elif verb == b"EHLO":
                    writer.write(b"250-bench\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                else:
                    writer.write(b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the daemon was ended
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], arrivals
    finally:
        server.close()
