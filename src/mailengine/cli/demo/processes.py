"""The two processes of the demo; both end when their standard input closes, so none outlives it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mailengine.core.errors import Unavailable

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
_USUAL_PORT = 8025


class Helper:
    """A process below the demo, in a session of its own: a Ctrl-C in the terminal is for the demo alone."""

    def __init__(self, command: list[str], log: Path, **options: Any) -> None:
        self._log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603  # our own program
                command, stdin=subprocess.PIPE, stderr=file, start_new_session=True, **options
            )

    def check(self) -> None:
        """Raise Unavailable when it has ended by itself."""
        if self.process.poll() is not None:
            said = self._log.read_text(errors="replace").strip().splitlines()
            last = said[-1] if said else "it said nothing"
            raise Unavailable(f"a process of the demo ended (see {self._log}): {last}")

    def stop(self) -> int:
        """Let it end in order; returns its exit code."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Catcher(Helper):
    """The SMTP server that keeps what it is given."""

    def __init__(self, maildir: Path, log: Path) -> None:
        command = [sys.executable, "-m", "mailengine.daemon.catcher", str(maildir)]
        super().__init__(command, log, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.check()
        self.port = int(line)

    def stop(self) -> int:
        code = super().stop()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Daemon(Helper):
    """`mailengine daemon`, as a person would start it."""

    def __init__(self, data_dir: Path, port: int, maildir: Path) -> None:
        self._announced = data_dir / "daemon.json"
        program = [sys.executable, "-m", "mailengine", "--data-dir", str(data_dir)]
        command = [*program, "daemon", "--port", str(port), "--with-stdin"]
        environment = {**os.environ, "MAILENGINE_CATCHER_MAILDIR": str(maildir)}
        super().__init__(command, data_dir / "daemon.log", env=environment)

    async def url(self) -> str:
        """Its address, as soon as it serves."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                self.check()
                with suppress(OSError, ValueError):
                    found = json.loads(self._announced.read_text())
                    if found["pid"] == self.process.pid:
                        return str(found["url"])
                await asyncio.sleep(0.02)


def free_port() -> int:
    """The daemon's usual port where it is free, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PORT))
        except OSError:
            return 0
    return _USUAL_PORT
