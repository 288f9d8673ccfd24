"""Where worker processes are born: a process forked off before the daemon has loops, threads or connections.

A worker that starts as a new interpreter imports for a second or two and has 85 MB of its own. The nursery imports
once, when the first worker is wanted; from then on a worker costs milliseconds, and shares that memory. The daemon
itself cannot fork: its threads and the sockets of its database would be in the child.

Protocol, over a pair of sockets: the daemon sends one byte with two descriptors, of the pipes that the worker reads
its orders from and writes its numbers to; the nursery answers with records of `_RECORD`, one when the worker is born
and one when it has ended. It ends when the daemon's socket closes, so that it never outlives the daemon.
"""

import asyncio
import errno
import gc
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

_RECORD = struct.Struct("<cii")  # what happened | process id | wait status, or errno
_BORN, _FAILED, _ENDED = b"b", b"f", b"e"
_LOST_STATUS = 0  # nobody saw how it ended


@dataclass(frozen=True, slots=True)
class Born:
    """A worker; `ended` is the status of `os.waitpid`."""

    pid: int
    ended: asyncio.Future[int]


@contextmanager
def nursery() -> Iterator["Nursery"]:
    """Must be opened before there is a thread or a loop in this process."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _tend(theirs)
    theirs.close()
    with ours:
        yield Nursery(ours)


class Nursery:
    """The daemon's end. `lost`: somebody killed the nursery, and no worker can be started any more; `on_lost` is
    called when that is noticed."""

    def __init__(self, connection: socket.socket) -> None:
        self.on_lost: Callable[[], object] = lambda: None
        self._connection = connection
        self._heard = b""
        self._asked: deque[asyncio.Future[Born]] = deque()
        self._living: dict[int, asyncio.Future[int]] = {}
        self.lost = False

    async def start(self, orders: int, numbers: int) -> Born:
        """A worker with these descriptors; raises OSError when there is no room for one."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._connection, self._hear)
        answer: asyncio.Future[Born] = loop.create_future()
        self._asked.append(answer)
        try:
            socket.send_fds(self._connection, [_BORN], [orders, numbers])
        except BrokenPipeError:
            self._lose()
        return await answer

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            heard = self._connection.recv(4096, socket.MSG_DONTWAIT)
            if not heard:
                self._lose()
                return
            self._heard += heard
        while len(self._heard) >= _RECORD.size:
            record, self._heard = self._heard[: _RECORD.size], self._heard[_RECORD.size :]
            self._take(*_RECORD.unpack(record))

    def _take(self, what: bytes, pid: int, number: int) -> None:
        if what == _ENDED:
            self._living.pop(pid).set_result(number)
            return
        answer = self._asked.popleft()
        if what == _BORN:
            self._living[pid] = asyncio.get_running_loop().create_future()
            if not answer.cancelled():
                answer.set_result(Born(pid, self._living[pid]))
        elif not answer.cancelled():
            answer.set_exception(OSError(number, os.strerror(number)))

    def _lose(self) -> None:
        self.lost = True
        asyncio.get_running_loop().remove_reader(self._connection)
        while self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(ConnectionResetError("the process that forks workers is gone"))
        while self._living:
            _pid, ended = self._living.popitem()
            ended.set_result(_LOST_STATUS)
        self.on_lost()


def _tend(connection: socket.socket) -> NoReturn:
    """The nursery's own life. It ends here, and so do its forks: nothing of the daemon's end is done in them."""
    code = 1
    try:
        code = _fork_on_request(connection)
    except ConnectionError:  # the daemon was killed with words of ours unread
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _fork_on_request(connection: socket.socket) -> int:
    """Returns the exit code, here and in each worker."""
    # Both are for the daemon, which tells the workers; this process ends with the daemon's socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([connection.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(connection)
        if connection.fileno() in ready:
            asked, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
            if not asked:
                return 0
            from mailengine.daemon import worker_process  # now: an idle daemon is small

            gc.freeze()  # a collection in a worker must not touch, and so copy, what is shared
            if _fork(connection, descriptors) == 0:
                connection.close()
                os.close(woken)
                os.close(signal.set_wakeup_fd(-1))
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                worker_process.main(*descriptors)
                return 0
            for each in descriptors:
                os.close(each)


def _fork(connection: socket.socket, descriptors: list[int]) -> int | None:
    """As `os.fork`; None, and the daemon knows why, when there is no room for another process."""
    try:
        if len(descriptors) != 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
    except OSError as error:
        connection.sendall(_RECORD.pack(_FAILED, 0, error.errno or errno.EAGAIN))
        return None
    if pid:
        connection.sendall(_RECORD.pack(_BORN, pid, 0))
    return pid


def _tell_ended(connection: socket.socket) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection.sendall(_RECORD.pack(_ENDED, pid, status))
