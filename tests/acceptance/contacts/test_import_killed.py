"""An import whose process is killed: what its job says is stored, and it goes on from there."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from peers.ports import wait_until
from support.program import Program

ROWS = 12_000  # batches of 2,000, 4,000, 4,000 and 2,000


def stored(database: Path) -> tuple[int, int]:
    """Contacts in the table, and how many the job says it read."""
    connection = sqlite3.connect(database, timeout=10)
    try:
        (contacts,) = connection.execute("SELECT count(*) FROM contacts").fetchone()
        row = connection.execute("SELECT done FROM jobs").fetchone()
        return contacts, row[0] if row else 0
    finally:
        connection.close()


def test_a_killed_import_lost_and_doubled_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    program.init()
    file = tmp_path / "people.csv"
    file.write_text("email,city\n" + "".join(f"p{n}@example.org,Bonn\n" for n in range(ROWS)))
    running = subprocess.Popen(
        [sys.executable, "-m", "mailengine", "import", str(file), "--list", "Customers"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MAILENGINE_DATA_DIR": str(program.data_dir)},
    )
    database = program.data_dir / "mailengine.sqlite3"
    wait_until(lambda: stored(database)[1] > 0 or running.poll() is not None, "the first batch is stored")
    running.send_signal(signal.SIGKILL)
    running.wait()
    contacts, done = stored(database)
    assert contacts == done
    if done < ROWS:  # it may have been quicker than the signal
        assert program.ok("jobs", "show", "1", "--json").json["state"] == "running"
        report = program.ok("jobs", "resume", "1", "--json").json
        assert (report["state"], report["created"], report["rows"]) == ("done", ROWS, ROWS)
    assert program.ok("lists", "show", "Customers", "--json").json["audience"] == ROWS
