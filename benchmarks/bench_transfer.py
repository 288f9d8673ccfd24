"""How long `mailengine migrate-database` takes (issue 6: a million contacts in under three minutes), and what it
holds in memory. Every contact is on a list. Beside it PostgreSQL alone: a COPY of the same contacts and members from
files of its binary form into tables with the same keys and indexes.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import asyncpg

from benchmarks.house import command, house
from benchmarks.report import Row
from benchmarks.stage import postgres

_SAMPLE_SECONDS = 0.05
_TABLES = ("contacts", "list_members")


class _Moved(NamedTuple):
    """Of the command from its start to its end: seconds by the clock and of its processor time, memory at most."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(quick: bool) -> list[Row]:
    """Rows of `make bench`; none without PostgreSQL. Two sizes: memory must not grow with the rows."""
    sizes = (20_000, 100_000) if quick else (100_000, 1_000_000)
    with postgres() as server:
        if server is None:
            return []
        rows: list[Row] = []
        for count in sizes:
            with server.empty() as url:
                moved = asyncio.run(_move(url, count))
                rows += _rows(count, moved, asyncio.run(_bare(url)))
    return rows


def _rows(count: int, moved: _Moved, bare: float) -> list[Row]:
    name = f"move {count:,} contacts from SQLite to PostgreSQL"
    return [
        {
            "name": f"{name} (processor {moved.cpu_seconds:.1f} s)", "value": round(moved.seconds, 1), "unit": "s",
            "baseline": round(bare, 1), "ratio": round(moved.seconds / bare, 2), "baseline_name": "COPY alone",
        },
        {"name": f"{name}: memory", "value": round(moved.peak_bytes / (1 << 20)), "unit": "MiB"},
    ]  # fmt: skip


async def _move(url: str, count: int) -> _Moved:
    async with house(None, recipients=count, port=9) as made:
        before = os.times()
        started, peak = time.perf_counter(), 0
        with subprocess.Popen(
            command(made.rt.settings, "migrate-database", url), stdout=subprocess.DEVNULL
        ) as moving:
            while moving.poll() is None:
                peak = max(peak, _peak_bytes(moving.pid))
                await asyncio.sleep(_SAMPLE_SECONDS)
        assert moving.returncode == 0
        seconds, after = time.perf_counter() - started, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return _Moved(seconds, spent, peak)


def _peak_bytes(pid: int) -> int:
    """The most that the process has held so far; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


async def _bare(url: str) -> float:
    """Seconds for the same rows from files."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    seconds = 0.0
    try:
        await connection.execute("SET mailengine.tenant_id = '*'")
        with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
            for table in _TABLES:
                path = Path(folder) / table
                await connection.copy_from_query(f"SELECT * FROM {table}", output=path, format="binary")
                await connection.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING INDEXES)")
                started = time.perf_counter()
                await connection.copy_to_table(f"bare_{table}", source=path, format="binary")
                seconds += time.perf_counter() - started
    finally:
        await connection.close()
    return seconds
