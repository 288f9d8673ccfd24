"""What a peer module gives to its keeper, and the retry when another program took the free port first."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from peers.ports import answers, free_port, wait_until
from peers.processes import stop

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Started:
    process: "subprocess.Popen[bytes]"
    facts: dict[str, Any]
    stop_signal: int = signal.SIGTERM


def _settled(process: "subprocess.Popen[bytes]", port: int) -> bool:
    return process.poll() is not None or answers(port)


def on_free_port(
    launch: Callable[[int], "subprocess.Popen[bytes]"], what: str, log: Path | None = None
) -> tuple["subprocess.Popen[bytes]", int]:
    """Launches a server that cannot bind port 0 itself; one that exits lost the race for its port."""
    for _ in range(ATTEMPTS):
        port = free_port()
        process = launch(port)
        wait_until(partial(_settled, process, port), f"{what} answers")
        if process.poll() is None:
            return process, port
        stop(process)
    said = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
    raise RuntimeError(f"{what} did not start in {ATTEMPTS} attempts: {said}")
