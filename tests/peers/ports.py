"""Free loopback ports and waiting for a condition (never for an amount of time)."""

import socket
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.01
_SELDOM_SECONDS = 0.1


def free_port() -> int:
    """A port that was free a moment ago: whoever starts a server on it must be ready to try another."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(port: int, host: str = LOOPBACK) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = 30, *, every: float | None = None
) -> None:
    """Looks `every` so many seconds; without it more and more seldom, a twentieth of the wait late at most: many a
    look opens a database, reads a log or starts a program, and takes a core from what is waited for."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every or min(max(POLL_SECONDS, waited / 20), _SELDOM_SECONDS))
