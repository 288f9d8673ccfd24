"""`python -m peers.keeper NAME RUN`: starts the peer `peers.NAME`, returns when it answers, and stays behind
as a daemon that stops it on SIGTERM or when the owner of the session is gone (a killed pytest leaks nothing).

A peer module has `start(directory) -> Started`; it is given an empty directory below the run directory.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path

from peers.processes import alive, stop
from peers.shared import owner_pid
from peers.started import Started

OWNER_POLL_SECONDS = 0.25


def main() -> int:
    name, run = sys.argv[1], Path(sys.argv[2])
    ready_read, ready_write = os.pipe()
    if os.fork() == 0:
        os.close(ready_read)
        os._exit(_keep(name, run, ready_write))
    os.close(ready_write)
    return 0 if os.read(ready_read, 1) == b"+" else 1


def _keep(name: str, run: Path, ready: int) -> int:
    os.setsid()
    try:
        (run / f"{name}.keeper").write_text(str(os.getpid()))
        owner, stopped = owner_pid(run), threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        started = _start(name, run)
        os.write(ready, b"+")
        os.close(ready)
        _wait(owner, started, stopped)
        stop(started.process, started.stop_signal)
        if not alive(owner):
            shutil.rmtree(run, ignore_errors=True)  # nobody else is left to do it
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _start(name: str, run: Path) -> Started:
    directory = run / name
    directory.mkdir()
    started: Started = importlib.import_module(f"peers.{name}").start(directory)
    draft = run / f"{name}.json.draft"
    draft.write_text(json.dumps(started.facts))
    draft.rename(run / f"{name}.json")
    return started


def _wait(owner: int, started: Started, stopped: threading.Event) -> None:
    while alive(owner) and started.process.poll() is None and not stopped.wait(OWNER_POLL_SECONDS):
        pass


if __name__ == "__main__":
    sys.exit(main())
