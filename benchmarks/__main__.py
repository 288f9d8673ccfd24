"""`python -m benchmarks [--quick] [--only SUBJECT]`: prints a table and writes benchmarks/results/*.json."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # real servers to send to: `peers`

from benchmarks import (
    bench_content,
    bench_dkim,
    bench_growth,
    bench_import,
    bench_latency,
    bench_launch,
    bench_machines,
    bench_pages,
    bench_search,
    bench_segments,
    bench_send,
    bench_transfer,
    bench_tui,
    report,
)

# Rows come as they are measured where that takes long.
SUBJECTS: dict[str, Callable[[bool], Iterable[report.Row]]] = {
    "content": bench_content.run,
    "import": bench_import.run,
    "send": bench_send.run,
    "latency": bench_latency.run,
    "dkim": bench_dkim.run,
    "growth": bench_growth.run,
    "launch": bench_launch.run,
    "segments": bench_segments.run,
    "machines": bench_machines.run,
    "pages": bench_pages.run,
    "search": bench_search.run,
    "transfer": bench_transfer.run,
    "tui": bench_tui.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller numbers: minutes become seconds")
    parser.add_argument("--only", choices=sorted(SUBJECTS), help="one subject")
    options = parser.parse_args()
    around = report.machine()
    print(f"{around['cores']} cores, {around['processor']}, load {around['load']}", file=sys.stderr)
    rows: list[report.Row] = []
    for name in [options.only] if options.only else SUBJECTS:
        print(f"{name} …", file=sys.stderr)
        for row in SUBJECTS[name](options.quick):
            print(report.line(row), file=sys.stderr)
            rows.append(row)
    report.show(rows)
    print(f"written to {report.write(rows, around)}", file=sys.stderr)


if __name__ == "__main__":
    main()
