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


def importing(program: Program, file: Path) -> subprocess.Popen[bytes]:
    """An import that has stored its first batch."""
    running = subprocess.Popen(
        [sys.executable, "-m", "mailengine", "import", str(file), "--list", "Customers"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MAILENGINE_DATA_DIR": str(program.data_dir)},
    )
    database = program.data_dir / "mailengine.sqlite3"
    wait_until(lambda: stored(database)[1] > 0 or running.poll() is not None, "the first batch is stored")
    return running


def test_a_killed_import_lost_and_doubled_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    program.init()
    file = tmp_path / "people.csv"
    file.write_text("email,city\n" + "".join(f"p{n}@example.org,Bonn\n" for n in range(ROWS)))
    running = importing(program, file)
    database = program.data_dir / "mailengine.sqlite3"
    running.send_signal(signal.SIGKILL)
    running.wait()
    contacts, done = stored(database)
    assert contacts == done
    if done < ROWS:  # it may have been quicker than the signal
        assert program.ok("jobs", "show", "1", "--json").json["state"] == "running"
        report = program.ok("jobs", "resume", "1", "--json").json
        assert (report["state"], report["created"], report["rows"]) == ("done", ROWS, ROWS)
    assert program.ok("lists", "show", "Customers", "--json").json["audience"] == ROWS


def test_an_import_that_runs_is_not_gone_on_with(tmp_path: Path) -> None:
    program = Program(tmp_path / "data")
    program.init()
    file = tmp_path / "people.csv"
    file.write_text("email\n" + "".join(f"p{n}@example.org\n" for n in range(5 * ROWS)))
    running = importing(program, file)
    running.send_signal(signal.SIGSTOP)
    try:
        refused = program.run("jobs", "resume", "1")
    finally:
        running.send_signal(signal.SIGCONT)
    assert (refused.code, "running in another process" in refused.complaint) == (1, True)
    assert running.wait() == 0
    job = program.ok("jobs", "show", "1", "--json").json
    assert (job["state"], job["done"], job["result"]["counts"]["created"]) == ("done", 5 * ROWS, 5 * ROWS)
    assert not list((program.data_dir / "imports").iterdir())
