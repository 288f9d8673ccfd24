"""`mailengine` in processes forked off one that has imported it: real ones, without the seconds of their imports and
of what each would find out anew.

One per session, shared by all xdist workers. A client (`ForkedProgram`) connects, sends a line of JSON (arguments,
environment, working directory) with three descriptors (standard input, output, error), and reads two lines: the
process id, and, when it has ended, the status of `waitpid`.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sqlalchemy.orm import configure_mappers

from mailengine.web.app import made_once
from peers.ports import wait_until
from peers.processes import python_path, spawn
from peers.shared import obtain
from peers.started import Started

# What `mailengine daemon` imports sooner or later.
_IMPORTS = (
    "mailengine.cli.main",
    "mailengine.cli.commands.daemon",
    "mailengine.daemon.main",
    "mailengine.daemon.roles.web",
    "mailengine.daemon.roles.health",
    "mailengine.daemon.worker_process",
)


def start(directory: Path) -> Started:
    path = directory / "socket"
    with directory.with_name("forked-program.log").open("ab") as log:
        process = spawn(
            [sys.executable, "-m", "peers.forked_program", path], log=log, stdout=log, env=python_path()
        )
    wait_until(lambda: path.exists() or process.poll() is not None, "the program is imported", 90)
    return Started(process, {"socket": str(path)})


class ForkedProgram:
    """A process of the program in a session of its own: what tests use of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], *, env: Mapping[str, str], stderr: IO[bytes]) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(obtain("forked_program")["socket"])
        reads, writes = os.pipe()
        self.stdin = os.fdopen(writes, "wb")
        asked = {"arguments": list(arguments), "environment": dict(env), "folder": str(Path.cwd())}
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123
            descriptors = [reads, nothing.fileno(), stderr.fileno()]
            socket.send_fds(self._connection, [json.dumps(asked).encode() + b"\n"], descriptors)
        os.close(reads)
        self._said = self._connection.makefile("rb")
        self.pid = int(self._said.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            # Nothing said: the forking process is gone, and so is who would know.
            self.returncode = os.waitstatus_to_exitcode(int(self._said.readline() or signal.SIGKILL))
            self._said.close()
            self._connection.close()
        return self.returncode

    def wait(self, seconds: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("mailengine", seconds)
            select.select([self._connection], [], [], left)
        return code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def main(path: str) -> int:
    """Serves until it is killed, and returns in each fork with that one's exit code."""
    for name in _IMPORTS:
        importlib.import_module(name)
    configure_mappers()
    made_once()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen(64)
    os.rename(f"{path}.new", path)  # noqa: PTH104
    clients: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(clients)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            asked, descriptors = _request(connection)
            pid = os.fork()
            if pid == 0:
                for each in (connection, listener, *clients.values()):
                    each.close()
                for descriptor in (woken, signal.set_wakeup_fd(-1)):
                    os.close(descriptor)
                return _run(asked, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            connection.sendall(f"{pid}\n".encode())
            clients[pid] = connection


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    line, descriptors, _, _ = socket.recv_fds(connection, 65536, 3)
    while not line.endswith(b"\n"):
        line += connection.recv(65536)
    asked: dict[str, Any] = json.loads(line)
    return asked, descriptors


def _tell_ended(clients: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with clients.pop(pid) as connection, suppress(OSError):
                connection.sendall(f"{status}\n".encode())


def _run(asked: dict[str, Any], descriptors: list[int]) -> int:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["mailengine", *asked["arguments"]]
    from mailengine.cli.main import run

    try:
        run()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
