"""One send process, forked off the nursery.

Reads its orders from standard input and ends when that closes: so it never outlives the supervisor, however
that died. SIGTERM and a dead supervisor drain it: no new claims, replies to what is on the wire are awaited.
What it imports decides what an idle daemon costs: no web framework, no migrations, no terminal.
"""

import sys

# structlog imports rich (7 MB) for tracebacks wherever it is installed; nobody reads a worker on a terminal.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

import asyncio  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
from contextlib import suppress  # noqa: E402
from pathlib import Path  # noqa: E402

import uvloop  # noqa: E402

from mailengine.core import log  # noqa: E402
from mailengine.core.clock import SystemClock  # noqa: E402
from mailengine.core.secrets import load_keyring  # noqa: E402
from mailengine.daemon import handover  # noqa: E402
from mailengine.db.unit import Database  # noqa: E402
from mailengine.domain.delivery.tally import Tally  # noqa: E402
from mailengine.domain.delivery.worker import Worker  # noqa: E402

_PR_SET_PDEATHSIG = 1
_NEW_OBJECTS = 20_000
_TELL_SECONDS = 1.0
_GRACE_SECONDS = 10  # above drain_seconds: then the journals must settle what is left


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the supervisor, which tells us
    orders = handover.load(sys.stdin.buffer.readline())
    log.configure(orders.settings.log, log.daemon_log_file(orders.settings, turns=False))
    _end_with_parent()
    # What was imported stays, and a claim makes thousands of objects that live as long as it does: a collector that
    # looks every 700 would go through them again and again.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    uvloop.run(_send(orders))


async def _send(orders: handover.Orders) -> None:
    settings = orders.settings
    assert settings.secret_key is not None  # the supervisor hands it over
    db = Database(settings.database_url, settings.database)
    worker = Worker(
        db,
        settings,
        load_keyring(Path(), settings.secret_key.get_secret_value()),
        SystemClock(),
        owner=orders.owner,
        wire_folder=settings.data_dir / "wire",
    )
    telling = asyncio.create_task(_tell(worker.tally))
    try:
        await worker.run(_stop_event(settings.worker.drain_seconds))
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await db.close()


async def _tell(tally: Tally) -> None:
    """What was done goes to the supervisor by standard output, a line of JSON a second, and the rest at the end."""
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    try:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            if transport.get_write_buffer_size() == 0:  # else the supervisor is busy: the numbers wait here
                _write(transport, tally)
    finally:
        _write(transport, tally)
        transport.close()


def _write(transport: asyncio.WriteTransport, tally: Tally) -> None:
    told = tally.take()
    if told is not None:
        transport.write(json.dumps(told).encode() + b"\n")


def _stop_event(drain_seconds: float) -> asyncio.Event:
    """Set by SIGTERM or by the end of standard input; a drain that hangs is ended by an alarm."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        if not stop.is_set():
            signal.alarm(int(drain_seconds) + _GRACE_SECONDS)
            stop.set()

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            end()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(sys.stdin.fileno(), heard)
    return stop


def _end_with_parent() -> None:
    """On Linux the kernel tells us too: another process might hold our standard input open."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
