"""One send process, forked off the nursery.

Reads its orders from a pipe and ends when that closes: so it never outlives the supervisor, however that died.
SIGTERM and a dead supervisor drain it: no new claims, replies to what is on the wire are awaited. What it imports
decides what a daemon that sends costs: no web framework, no migrations, no terminal.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import uvloop

from mailengine.core import log
from mailengine.core.clock import SystemClock
from mailengine.core.secrets import load_keyring
from mailengine.daemon import handover
from mailengine.daemon.garbage import collect_seldom
from mailengine.db.unit import Database
from mailengine.domain.delivery.tally import Tally
from mailengine.domain.delivery.worker import Worker

_PR_SET_PDEATHSIG = 1
_TELL_SECONDS = 1.0
_GRACE_SECONDS = 10  # above drain_seconds: then the journals must settle what is left


def main(orders_from: int, numbers_to: int) -> None:
    """Runs to the end; the descriptors are of pipes to the supervisor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the supervisor, which tells us
    with open(orders_from, "rb", closefd=False) as pipe:  # a descriptor
        orders = handover.load(pipe.readline())
    log.configure(orders.settings.log, log.daemon_log_file(orders.settings, turns=False))
    _end_with_parent()
    collect_seldom()
    uvloop.run(_send(orders, orders_from, numbers_to))


async def _send(orders: handover.Orders, orders_from: int, numbers_to: int) -> None:
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
    telling = asyncio.create_task(_tell(worker.tally, numbers_to))
    try:
        await worker.run(_stop_event(orders_from, settings.worker.drain_seconds))
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await db.close()


async def _tell(tally: Tally, numbers_to: int) -> None:
    """What was done goes to the supervisor, a line of JSON a second, and the rest at the end."""
    pipe = os.fdopen(numbers_to, "wb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, pipe)
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


def _stop_event(orders_from: int, drain_seconds: float) -> asyncio.Event:
    """Set by SIGTERM or by the end of the pipe of orders; a drain that hangs is ended by an alarm."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        if not stop.is_set():
            signal.alarm(int(drain_seconds) + _GRACE_SECONDS)
            stop.set()

    def heard() -> None:
        if not os.read(orders_from, 1024):
            loop.remove_reader(orders_from)
            end()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(orders_from, heard)
    return stop


def _end_with_parent() -> None:
    """On Linux the kernel tells us too: another process might hold our standard input open."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
