"""Free loopback ports and waiting for a condition (never for an amount of time)."""

import socket
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.01


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
    condition: Callable[[], object], what: str, seconds: float = 30, *, every: float = POLL_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
