"""Between the processes of one data directory: each worker reads a named pipe, whoever queued writes a byte to all.

Pipes and not sockets: the path of a Unix socket has at most 107 octets, which a data directory may exceed.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Set
from pathlib import Path

from mailengine.core.log import get_logger

_SUFFIX = ".bell"

log = get_logger("wake")


def _folder(data_dir: Path) -> Path:
    return data_dir / "wake"


class FifoBell:
    """Needs no server; other machines hear nothing and look at the database."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = _folder(data_dir)

    async def ring(self, tenants: Set[str]) -> None:
        for pipe in self._folder.glob(f"*{_SUFFIX}"):
            _ring(pipe)

    async def close(self) -> None:
        """Nothing is held open."""


def _ring(pipe: Path) -> None:
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads: its worker was killed
            pipe.unlink(missing_ok=True)
        return
    with contextlib.suppress(BlockingIOError):  # full: it was rung often enough
        os.write(descriptor, b"!")
    os.close(descriptor)


class FifoListener:
    reliable = False  # a face on another machine does not ring here

    def __init__(self, data_dir: Path) -> None:
        self._folder = _folder(data_dir)

    async def run(self, on_wake: Callable[[], None]) -> None:
        pipe = self._folder / f"{os.getpid()}-{id(self):x}{_SUFFIX}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = _opened(pipe)
        except OSError as error:  # a network share, or a directory that may not be written
            log.warning("no pipe to be woken by, messages are found in the database", words=str(error))
            await asyncio.Event().wait()
            return
        loop = asyncio.get_running_loop()

        def heard() -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(descriptor, 4096)
            on_wake()

        loop.add_reader(descriptor, heard)
        try:
            await asyncio.Event().wait()  # until it is cancelled
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            pipe.unlink(missing_ok=True)


def _opened(pipe: Path) -> int:
    """A pipe that gets its name only when it is read: one that nobody reads is taken for a dead worker's."""
    draft = pipe.with_suffix(".new")
    draft.unlink(missing_ok=True)  # of a process that had our number
    os.mkfifo(draft, mode=0o600)
    # For writing too, or the pipe ends whenever the last writer goes.
    descriptor = os.open(draft, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    draft.rename(pipe)
    return descriptor
