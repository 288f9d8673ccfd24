"""What the terminal dashboard costs those who send while it looks on.

It runs in a real terminal (tmux), on the screen of the campaign that is being sent. A campaign is sent with and
without it, twice in turn, and the lesser of the daemon's processor times is taken: what others do only adds.

A machine may not send 5,000 messages a second; a ledger that grows by 5,000 outcomes a second, as workers write them,
is the same to who reads it. What the dashboard writes to the terminal meanwhile is counted: few bytes, none of which
clears.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.house import CAMPAIGN, House, command, daemon, house
from benchmarks.report import Row
from benchmarks.stage import databases, reached, sink, usage
from mailengine.db.tenancy import table_of
from mailengine.models import CampaignTotals, EmailTask, TaskStatus
from peers.availability import LACKING
from peers.ports import wait_until
from peers.tmux import Terminal, clearings

_ROUNDS = 2
_RATE = 5_000
_BATCH = 500


@dataclass(frozen=True, slots=True)
class _Sent:
    """Processor seconds of the daemon, and of the dashboard beside it for each second that passed."""

    daemon_seconds: float
    dashboard_share: float


@dataclass(frozen=True, slots=True)
class _Grown:
    """`rate` are outcomes a second; `bytes_a_second` and `clearings` are what the dashboard wrote to the terminal."""

    writer_seconds: float
    rate: float
    dashboard_share: float
    bytes_a_second: float
    clearings: int


@dataclass(frozen=True, slots=True)
class _Looking:
    """A dashboard that runs, and the file of what it writes."""

    pid: int
    written: Path


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
            seconds = 5 if quick else 20
            bare, seen = (asyncio.run(_grown(url(), seconds, watch=watch)) for watch in (False, True))
            rows += _grown_rows(f"{_RATE:,} outcomes a second beside a dashboard, {name}", bare, seen)
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


def _grown_rows(name: str, bare: _Grown, seen: _Grown) -> list[Row]:
    return [
        {
            "name": f"{name}: the writer", "value": round(seen.writer_seconds, 2), "unit": "s of CPU",
            "baseline": round(bare.writer_seconds, 2), "ratio": round(seen.writer_seconds / bare.writer_seconds, 3),
            "baseline_name": "without it",
        },
        {
            "name": f"{name}: written", "value": round(seen.rate), "unit": "rows/s", "baseline": round(bare.rate),
            "ratio": round(seen.rate / bare.rate, 3), "baseline_name": "without it",
        },
        {"name": f"{name}: the dashboard", "value": round(100 * seen.dashboard_share, 1), "unit": "% of a core"},
        {"name": f"{name}: to the terminal", "value": round(seen.bytes_a_second / 1000, 1), "unit": "kB/s"},
        {"name": f"{name}: cleared on it", "value": seen.clearings, "unit": "times"},
    ]  # fmt: skip


async def _grown(url: str | None, seconds: int, *, watch: bool) -> _Grown:
    async with house(url, recipients=_RATE * seconds, port=9) as made:
        await made.launch(expanded=True)
        with _dashboard(made, watch=watch) as looking:
            spent, written = _spent(looking), _written(looking)
            writer, began = time.process_time(), time.perf_counter()
            await _grow(made, seconds)
            took, writer = time.perf_counter() - began, time.process_time() - writer
            spent, written = _spent(looking) - spent, _written(looking)[len(written) :]
    return _Grown(writer, _RATE * seconds / took, spent / took, len(written) / took, clearings(written))


async def _grow(made: House, seconds: int) -> None:
    """Outcomes in batches, at an even pace whoever looks on."""
    task, totals = table_of(EmailTask), table_of(CampaignTotals)
    mine = task.c.tenant_id == made.scope.tenant_id
    async with made.rt.db.read(made.scope) as tx:
        first = await tx.scalar(sa.select(sa.func.min(task.c.id)).where(mine)) or 0
    began = time.perf_counter()
    for done in range(0, _RATE * seconds, _BATCH):
        batch = sa.update(task).where(mine, task.c.id >= first + done, task.c.id < first + done + _BATCH)
        counted = sa.update(totals).where(totals.c.tenant_id == made.scope.tenant_id)
        outcome = {"status": TaskStatus.SENT, "finished_at": made.rt.clock.now(), "external_msg_id": "250 ok"}
        async with made.rt.db.write(made.scope) as tx:
            await tx.execute(batch.values(**outcome))
            await tx.execute(counted.values(sent=totals.c.sent + _BATCH))
        await asyncio.sleep(max(0.0, began + (done + _BATCH) / _RATE - time.perf_counter()))


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


def _spent(looking: _Looking | None) -> float:
    return 0.0 if looking is None else usage(looking.pid).cpu_seconds


def _written(looking: _Looking | None) -> bytes:
    return b"" if looking is None else looking.written.read_bytes()


@contextmanager
def _dashboard(made: House, *, watch: bool) -> Iterator[_Looking | None]:
    """On the campaign's own screen."""
    if not watch:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        program = command(made.rt.settings, "tui")
        terminal = Terminal(Path(folder) / "tmux", program, width=120, height=40)
        try:
            wait_until(lambda: "Sender health" in terminal.screen(), "the dashboard is there", 60)
            terminal.press("2")
            listed = ("search by name", CAMPAIGN)  # without its row Enter opens nothing
            wait_until(
                lambda: all(words in terminal.screen() for words in listed), "the campaigns are there", 60
            )
            terminal.press("Enter")
            wait_until(lambda: "Failures by cause" in terminal.screen(), "the campaign is there", 60)
            written = Path(folder) / "written"
            written.touch()
            terminal.record(written)
            yield _Looking(terminal.pid, written)
        finally:
            terminal.stop()
