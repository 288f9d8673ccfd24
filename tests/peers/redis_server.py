"""A Redis of one worker's own, in memory only; it can be killed, stalled, emptied and started again."""

import signal
import socket
import subprocess
from pathlib import Path

from peers.ports import LOOPBACK, answers, wait_until
from peers.processes import spawn, stop
from peers.started import on_free_port


class RedisServer:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._process, self.port = on_free_port(self._launch, "Redis", log)
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def _launch(self, port: int) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as handle:
            options = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"]
            return spawn(["redis-server", *options, "--dir", str(self._log.parent)], log=handle)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """On the same port, with nothing in it."""
        self._process = self._launch(self.port)
        wait_until(lambda: answers(self.port), "Redis answers again")

    def stall(self) -> None:
        """Connections stay open and nothing answers, as when a network is cut."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        with socket.create_connection((LOOPBACK, self.port)) as client:
            client.sendall(b"FLUSHALL\r\n")
            assert client.recv(16) == b"+OK\r\n"

    def stop(self) -> None:
        self.go_on()
        stop(self._process)
