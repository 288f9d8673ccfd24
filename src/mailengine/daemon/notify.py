"""Telling systemd how we do, by the datagram protocol of sd_notify(3).

Nothing happens where systemd did not start us. The watchdog is fed from the event loop: one that hangs goes hungry.
"""

import asyncio
import os
import socket

from mailengine.core.log import get_logger
from mailengine.daemon.restart import wait

log = get_logger("daemon")


def notify(*states: str) -> None:
    """Send states such as `READY=1`; a manager that is gone is no trouble of ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address  # abstract namespace, unix(7)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(name)
            channel.sendall("\n".join(states).encode())
    except OSError as error:
        log.warning("systemd does not listen", words=error.strerror)


def watchdog_seconds() -> float | None:
    """How often systemd wants to hear of us (sd_watchdog_enabled(3)), None where it does not."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1_000_000


async def feed_watchdog(stop: asyncio.Event) -> None:
    """Twice as often as wanted, until `stop`; while we drain systemd waits for TimeoutStopSec instead."""
    wanted = watchdog_seconds()
    if wanted is None:
        await stop.wait()
        return
    while not stop.is_set():
        notify("WATCHDOG=1")
        await wait(stop, wanted / 2)
