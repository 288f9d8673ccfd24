"""What the terminal dashboard costs those who send while it looks on.

It runs in a real terminal (tmux), on the screen of the campaign that is being sent. A campaign is sent with and
without it, twice in turn, and the lesser of the daemon's processor times is taken: what others do only adds.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.house import House, command, daemon, house
from benchmarks.report import Row
from benchmarks.stage import databases, reached, sink, usage
from peers.availability import LACKING
from peers.ports import wait_until
from peers.tmux import Terminal

_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class _Sent:
    """Processor seconds of the daemon, and of the dashboard beside it for each second that passed."""

    daemon_seconds: float
    dashboard_share: float


def run(quick: bool) -> list[Row]:
    """Rows of `make bench`; what needs a program that this machine lacks is left out."""
    if LACKING["smtp_sink"]() or LACKING["tmux"]():
        return []
    count, rows = 10_000 if quick else 50_000, []
    with sink() as server, databases() as kinds:
        for name, url in kinds:
            alone, watched = [], []
            for _round in range(_ROUNDS):
                alone.append(asyncio.run(_send(url(), server.port, count, watch=False)))
                watched.append(asyncio.run(_send(url(), server.port, count, watch=True)))
            rows += _rows(f"{count:,} sent beside a dashboard, {name}", alone, watched)
    return rows


def _rows(name: str, alone: list[_Sent], watched: list[_Sent]) -> list[Row]:
    without, beside = (min(each.daemon_seconds for each in sent) for sent in (alone, watched))
    share = min(each.dashboard_share for each in watched)
    return [
        {
            "name": f"{name}: the daemon", "value": round(beside, 2), "unit": "s of CPU",
            "baseline": round(without, 2), "ratio": round(beside / without, 3), "baseline_name": "without it",
        },
        {"name": f"{name}: the dashboard", "value": round(100 * share, 1), "unit": "% of a core"},
    ]  # fmt: skip


async def _send(url: str | None, port: int, count: int, *, watch: bool) -> _Sent:
    """From a tenth of the campaign to its end."""
    async with house(url, recipients=count, port=port) as made:
        await made.launch(expanded=True)
        with _dashboard(made, watch=watch) as looking, daemon(made.rt.settings, os.cpu_count() or 1) as pid:
            _, began = await reached(made, count // 10)
            before = usage(pid).cpu_seconds, _spent(looking)
            _, ended = await reached(made, count)
            after = usage(pid).cpu_seconds, _spent(looking)
    return _Sent(after[0] - before[0], (after[1] - before[1]) / (ended - began))


def _spent(looking: int | None) -> float:
    return 0.0 if looking is None else usage(looking).cpu_seconds


@contextmanager
def _dashboard(made: House, *, watch: bool) -> Iterator[int | None]:
    """On the campaign's own screen; its process id."""
    if not watch:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        program = command(made.rt.settings, "tui")
        terminal = Terminal(Path(folder) / "tmux", program, width=120, height=40)
        try:
            wait_until(lambda: "Sender health" in terminal.screen(), "the dashboard is there", 60)
            terminal.press("2")
            wait_until(lambda: "search by name" in terminal.screen(), "the campaigns are there", 60)
            terminal.press("Enter")
            wait_until(lambda: "Failures by cause" in terminal.screen(), "the campaign is there", 60)
            yield terminal.pid
        finally:
            terminal.stop()
