"""How fast a campaign leaves, beside Postfix's smtp-source with the same sessions and the same size of message.

The daemon and its workers are real processes, every recipient has a row in the ledger, and the server is
smtp-sink. A rate is taken between a tenth and the whole of the campaign, so that the start of processes is not
in it; the time from launch to the last reply is a row of its own.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.house import House, daemon, house
from benchmarks.report import Row
from mailengine.domain.campaigns import control
from peers import shared
from peers.availability import LACKING
from peers.postgres import Postgres
from peers.sink import CountingSink, SmtpSink

Url = Callable[[], str | None]
CONNECTIONS = 10
SAMPLE_SECONDS = 0.02
LIMIT_SECONDS = 600.0
QUIET_SECONDS = 1.0


def run(quick: bool) -> list[Row]:
    """Rows of `make bench`; what needs a server that this machine lacks is left out."""
    if LACKING["smtp_sink"]() or LACKING["smtp_source"]():
        return []
    count, cores = 10_000 if quick else 50_000, os.cpu_count() or 1
    rows: list[Row] = []
    with _sink() as sink, _databases() as databases:
        size = asyncio.run(_message_bytes(sink.port))
        for processes in sorted({1, cores}):
            limit = smtp_source(sink.port, sessions=CONNECTIONS * processes, size=size, count=count)
            for name, url in databases:
                rate = asyncio.run(_rate(url(), sink.port, count, processes))
                workers = "1 worker" if processes == 1 else f"{processes} workers"
                rows.append(_row(f"send {count:,}, {name}, {workers}", rate, "msg/s", limit))
        seconds = asyncio.run(_seconds(sink.port, 10_000, cores))
        rows.append({"name": "launch to last reply, 10,000, SQLite", "value": round(seconds, 2), "unit": "s"})
    return [*rows, *asyncio.run(_pause(cores))]


def _row(name: str, value: float, unit: str, baseline: float) -> Row:
    ratio = round(value / baseline, 2)
    told = {"name": name, "value": round(value), "unit": unit, "baseline": round(baseline), "ratio": ratio}
    return {**told, "baseline_name": "smtp-source"}


@contextmanager
def _sink() -> Iterator[SmtpSink]:
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        sink = SmtpSink(Path(folder) / "log")
        try:
            yield sink
        finally:
            sink.stop()


@contextmanager
def _databases() -> Iterator[list[tuple[str, Url]]]:
    """SQLite, and PostgreSQL (a throw-away server without fsync) where there is one."""
    found: list[tuple[str, Url]] = [("SQLite", lambda: None)]
    with ExitStack() as stack:
        run = shared.open_run()
        stack.callback(shared.close_run, run)
        if LACKING["postgres"]() is None:
            server = Postgres()
            stack.callback(server.close)
            found.append(("PostgreSQL", lambda: stack.enter_context(server.database(migrated=False))))
        yield found


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


async def _rate(url: str | None, port: int, count: int, processes: int) -> float:
    """Messages a second, from a tenth of the campaign to its end."""
    async with house(url, recipients=count, port=port) as made:
        await made.launch(expanded=True)
        with daemon(made.rt.settings, processes):
            first, at_first = await _reached(made, count // 10)
            last, at_last = await _reached(made, count)
    return (last - first) / (at_last - at_first)


async def _seconds(port: int, count: int, processes: int) -> float:
    """From launch to the last outcome, with a daemon that was idle."""
    async with house(None, recipients=count, port=port) as made:
        with daemon(made.rt.settings, processes):
            await asyncio.sleep(2)  # it is up; nothing tells from outside, as it does not serve
            started = time.perf_counter()
            await made.launch(expanded=False)
            _, ended = await _reached(made, count)
    return ended - started


async def _reached(made: House, number: int) -> tuple[int, float]:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            done = await made.done()
            if done >= number:
                return done, time.perf_counter()
            await asyncio.sleep(SAMPLE_SECONDS)


async def _pause(processes: int) -> list[Row]:
    """At full speed: how long messages go on leaving after a pause has returned, and how many."""
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        sink = CountingSink(Path(folder) / "log")
        try:
            async with house(None, recipients=20_000, port=sink.port) as made:
                await made.launch(expanded=True)
                with daemon(made.rt.settings, processes):
                    await _reached(made, 2_000)
                    async with made.rt.db.write(made.scope) as tx:
                        await control.pause(
                            tx, made.scope, campaign_id=made.campaign_id, now=made.rt.clock.now()
                        )
                    seconds, late = await _silence(sink)
        finally:
            sink.stop()
    return [
        {"name": "pause: last message after it returned", "value": round(seconds, 2), "unit": "s"},
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
