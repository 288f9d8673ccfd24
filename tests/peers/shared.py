"""Peers and templates that all xdist workers of one session share.

The process that owns the session (xdist's controller, or pytest itself) makes the run directory and names it
in the environment, which its workers inherit. The first worker that wants a peer starts a keeper for it under
a file lock; the others read what it wrote. The keeper stops its server when the owner asks or dies.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers.ports import wait_until
from peers.processes import RUN_VARIABLE, alive, python_path


def open_run() -> Path:
    """Makes the run directory of this session; other users (PostgreSQL's) must be able to enter it."""
    run = Path(tempfile.mkdtemp(prefix="mailengine-test-"))
    run.chmod(0o755)
    (run / "owner").write_text(str(os.getpid()))
    os.environ[RUN_VARIABLE] = str(run)
    return run


def run_directory() -> Path:
    return Path(os.environ[RUN_VARIABLE])


def owner_pid(run: Path) -> int:
    return int((run / "owner").read_text())


def worker_name() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The run directory, while no other worker is in the section of that name."""
    run = run_directory()
    with (run / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield run


def once(name: str, make: Callable[[], None]) -> None:
    """Calls `make` in the first worker only; the others wait for it. One that failed is tried again."""
    with locked(name) as run:
        done = run / f"{name}.done"
        if not done.exists():
            make()
            done.touch()


def obtain(name: str) -> dict[str, Any]:
    """The facts (ports, directories) of the peer `peers.<name>`, which is started if it is not running."""
    with locked(name) as run:
        state = run / f"{name}.json"
        if not state.exists():
            _start_keeper(name, run)
        facts: dict[str, Any] = json.loads(state.read_text())
        return facts


def _start_keeper(name: str, run: Path) -> None:
    log = run / f"{name}.log"
    with log.open("ab") as handle:
        status = subprocess.run(
            [sys.executable, "-m", "peers.keeper", name, str(run)],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env={**os.environ, **python_path()},
            check=False,
        ).returncode
    if status:
        raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')[-4000:]}")


def close_run(run: Path) -> None:
    """Stops every keeper and removes the run directory."""
    keepers = [int(path.read_text()) for path in run.glob("*.keeper")]
    for pid in filter(alive, keepers):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(map(alive, keepers)), "the keepers of the peers stop")
    shutil.rmtree(run, ignore_errors=True)
