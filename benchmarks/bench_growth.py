"""What a message costs, and what the daemon holds in memory, as campaign and ledger grow."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.house import daemon, house
from benchmarks.report import Row
from benchmarks.stage import Url, databases, reached, sink, usage
from peers.availability import LACKING

_MEGABYTE = 1 << 20


def run(quick: bool) -> Iterator[Row]:
    """A million is too much for a quick run."""
    if LACKING["smtp_sink"]():
        return
    sizes = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    with sink() as server, databases() as kinds:
        for name, url in kinds[:1] if quick else kinds:
            yield from _growth(name, url, server.port, sizes)


def _growth(database: str, url: Url, port: int, sizes: tuple[int, ...]) -> Iterator[Row]:
    first: float | None = None
    for count in sizes:
        cost = asyncio.run(_cost(url(), port, count))
        first = first or cost.cpu_micros
        yield {
            "name": f"a message's processor time, campaign of {count:,}, {database}",
            "value": round(cost.cpu_micros),
            "unit": "µs",
            "baseline": round(first),
            "ratio": round(cost.cpu_micros / first, 2),
            "baseline_name": f"campaign of {sizes[0]:,}",
        }
        yield {
            "name": f"growth of the daemon's memory, campaign of {count:,}, {database}",
            "value": round(cost.grown_bytes / _MEGABYTE, 1),
            "unit": "MB",
        }


@dataclass(frozen=True, slots=True)
class _Cost:
    cpu_micros: float  # of the daemon and its workers, a message
    grown_bytes: int  # the same processes, from a tenth to the end


async def _cost(url: str | None, port: int, count: int) -> _Cost:
    async with house(url, recipients=count, port=port) as made:
        await made.launch(expanded=True)
        with daemon(made.rt.settings, os.cpu_count() or 1) as pid:
            first, _ = await reached(made, count // 10)
            before = usage(pid)
            last, _ = await reached(made, count)
            after = usage(pid)
    return _Cost(
        cpu_micros=(after.cpu_seconds - before.cpu_seconds) / (last - first) * 1e6,
        grown_bytes=after.memory_bytes - before.memory_bytes,
    )
