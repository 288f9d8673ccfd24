"""How fast a campaign leaves, beside Postfix's smtp-source with the same sessions and the same size of message.

The daemon and its workers are real processes, every recipient has a row in the ledger, and the server is
smtp-sink. A rate is taken between a tenth and the whole of the campaign, so that the start of processes is not
in it; the time from launch to the last reply is a row of its own. As a machine's speed may change within minutes,
smtp-source runs before and after each campaign, and in the middle of it while the daemon is stopped.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.house import daemon, house
from benchmarks.report import Row, beside
from benchmarks.stage import CONNECTIONS, databases, reached, sink, stopped
from mailengine.domain.campaigns import control
from peers.availability import LACKING
from peers.sink import CountingSink

QUIET_SECONDS = 1.0
PAUSE_SECONDS = 1.0  # a pause stops within
_HALVES = 2


def run(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`; what needs a server that this machine lacks is left out."""
    if LACKING["smtp_sink"]() or LACKING["smtp_source"]():
        return
    count, cores = 10_000 if quick else 50_000, os.cpu_count() or 1
    with sink() as server, databases() as kinds:
        size = asyncio.run(_message_bytes(server.port))
        for processes in sorted({1, cores}):
            sessions = CONNECTIONS * processes
            baseline = partial(smtp_source, server.port, sessions=sessions, size=size, count=count * 2 // 5)
            workers = "1 worker" if processes == 1 else f"{processes} workers"
            for name, url in kinds:
                value, baselines = asyncio.run(rate(url(), server.port, count, processes, baseline))
                yield beside(f"send {count:,}, {name}, {workers}", value, baselines, "smtp-source")
        seconds = asyncio.run(_seconds(server.port, 10_000, cores))
        yield {"name": "launch to last reply, 10,000, SQLite", "value": round(seconds, 2), "unit": "s"}
    yield from asyncio.run(_pause(cores))


def smtp_source(port: int, *, sessions: int, size: int, count: int) -> float:
    """Messages a second of a C program that sends the same message again and again over open connections."""
    program = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None
    options = ["-d", "-s", str(sessions), "-l", str(size), "-m", str(count)]
    started = time.perf_counter()
    subprocess.run([program, *options, f"127.0.0.1:{port}"], check=True)
    return count / (time.perf_counter() - started)


async def _message_bytes(port: int) -> int:
    async with house(None, recipients=1, port=port) as made:
        return made.message_bytes()


async def rate(
    url: str | None,
    port: int,
    count: int,
    processes: int,
    baseline: Callable[[], float],
    *,
    keys: Sequence[str] = (),
) -> tuple[float, list[float]]:
    """Messages a second, from a tenth of the campaign to its end, and the baseline before, amid and after."""
    async with house(url, recipients=count, port=port, keys=keys) as made:
        await made.launch(expanded=True)
        baselines, seconds = [baseline()], 0.0
        with daemon(made.rt.settings, processes) as pid:
            first, began = await reached(made, count // 10)
            last = first
            for half in range(1, _HALVES + 1):
                last, ended = await reached(made, first + (count - first) * half // _HALVES)
                seconds += ended - began
                with stopped(pid):
                    baselines.append(baseline())
                began = time.perf_counter()
    return (last - first) / seconds, baselines


async def _seconds(port: int, count: int, processes: int) -> float:
    """From launch to the last outcome, with a daemon that was idle."""
    async with house(None, recipients=count, port=port) as made:
        with daemon(made.rt.settings, processes):
            await asyncio.sleep(2)  # it is up; nothing tells from outside, as it does not serve
            started = time.perf_counter()
            await made.launch(expanded=False)
            _, ended = await reached(made, count)
    return ended - started


async def _pause(processes: int) -> list[Row]:
    """At full speed: how long messages go on leaving after a pause has returned, and how many."""
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        sink = CountingSink(Path(folder) / "log")
        try:
            async with house(None, recipients=20_000, port=sink.port) as made:
                await made.launch(expanded=True)
                with daemon(made.rt.settings, processes):
                    await reached(made, 2_000)
                    async with made.rt.db.write(made.scope) as tx:
                        await control.pause(
                            tx, made.scope, campaign_id=made.campaign_id, now=made.rt.clock.now()
                        )
                    seconds, late = await _silence(sink)
        finally:
            sink.stop()
    return [
        {
            "name": "pause: last message after it returned",
            "value": round(seconds, 2),
            "unit": "s",
            "baseline": PAUSE_SECONDS,
            "ratio": round(seconds / PAUSE_SECONDS, 2),
            "baseline_name": "goal",
        },
        {"name": "pause: messages after it returned", "value": late, "unit": "msg"},
    ]


async def _silence(sink: CountingSink) -> tuple[float, int]:
    began = last = time.perf_counter()
    first = count = sink.accepted()
    while time.perf_counter() - last < QUIET_SECONDS:
        await asyncio.sleep(0.005)
        if (now := sink.accepted()) != count:
            count, last = now, time.perf_counter()
    return last - began, count - first
