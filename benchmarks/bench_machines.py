"""Several machines on one PostgreSQL: a data directory and a daemon each, one worker process on each of them.

They share the cores of the machine that runs this, so that more cannot be faster than its cores allow; what is shown
is that the queue does not get slower by being shared, and that nobody is claimed twice.
"""

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.house import House, daemon, house
from benchmarks.report import Row
from benchmarks.stage import postgres
from mailengine.core.config import Settings
from peers.sink import CountingSink

MACHINES = (1, 2, 4)
_LIMIT_SECONDS = 900.0
_SAMPLE_SECONDS = 0.05


def run(quick: bool) -> list[Row]:
    """Rows of `make bench`; none without PostgreSQL."""
    count = 10_000 if quick else 50_000
    rows: list[Row] = []
    with postgres() as server:
        if server is None:
            return rows
        for machines in MACHINES:
            with server.empty() as url:
                rate = asyncio.run(_rate(url, count, machines))
            rows.append(_row(count, machines, rate, rows[0]["value"] if rows else rate))
    return rows


def _row(count: int, machines: int, rate: float, alone: float) -> Row:
    plural = "machine" if machines == 1 else "machines"
    return {
        "name": f"send {count:,}, PostgreSQL, {machines} {plural} of one worker",
        "value": round(rate),
        "unit": "msg/s",
        "baseline": round(alone),
        "ratio": round(rate / alone, 2),
        "baseline_name": "1 machine",
    }


async def _rate(url: str, count: int, machines: int) -> float:
    """Messages a second, from a tenth of the campaign to its end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailengine-bench-")))
        sink = CountingSink(folder / "accepted.log")
        stack.callback(sink.stop)
        async with house(url, recipients=count, port=sink.port) as made:
            await made.launch(expanded=True)
            with ExitStack() as daemons:
                for number in range(machines):
                    daemons.enter_context(daemon(_machine(made, folder / str(number)), 1))
                first, at_first = await _reached(made, count // 10)
                last, at_last = await _reached(made, count)
            received = sink.received()
            assert len(received) == received.total() == count, "somebody got two or none"
    return (last - first) / (at_last - at_first)


def _machine(made: House, data_dir: Path) -> Settings:
    data_dir.mkdir()
    shutil.copy(made.rt.settings.data_dir / "secret.key", data_dir)
    return made.rt.settings.model_copy(update={"data_dir": data_dir})


async def _reached(made: House, number: int) -> tuple[int, float]:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while (done := await made.done()) < number:
            await asyncio.sleep(_SAMPLE_SECONDS)
    return done, time.perf_counter()
