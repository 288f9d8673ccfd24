"""What a benchmark says: rows of a value beside its baseline, as a table and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

# name, value, unit, baseline, ratio; baseline_name where the name does not say it, baselines where it is their mean
Row = dict[str, Any]


def beside(name: str, value: float, baselines: Sequence[float], baseline_name: str) -> Row:
    """Messages a second beside the mean of what was measured around them."""
    baseline, every = fmean(baselines), ", ".join(f"{each:,.0f}" for each in baselines)
    return {
        "name": name,
        "value": round(value),
        "unit": "msg/s",
        "baseline": round(baseline),
        "baselines": [round(each) for each in baselines],
        "ratio": round(value / baseline, 2),
        "baseline_name": f"{baseline_name}: {every}",
    }


def machine() -> dict[str, Any]:
    """What the numbers depend on; `load` is that of others, before the benchmark."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def line(row: Row) -> str:
    """For whoever waits for the table."""
    ratio = (
        "" if row.get("ratio") is None else f", {row['ratio']:.2f} of {row.get('baseline_name', 'baseline')}"
    )
    return f"  {row['name']}: {_number(row['value'])} {row['unit']}{ratio}"


def show(rows: Sequence[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what")
    for column in ("value", "baseline", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("baseline is", style="dim")
    for row in rows:
        baseline = "" if row.get("baseline") is None else f"{_number(row['baseline'])} {row['unit']}"
        ratio = "" if row.get("ratio") is None else f"{row['ratio']:.2f}"
        value = f"{_number(row['value'])} {row['unit']}"
        table.add_row(row["name"], value, baseline, ratio, row.get("baseline_name", ""))
    Console(highlight=False).print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def write(rows: Sequence[Row], around: dict[str, Any]) -> Path:
    """One file a run."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(
        json.dumps({"at": now.isoformat(), "machine": around, "rows": list(rows)}, indent=2) + "\n"
    )
    return path
