"""A Redis of one worker's own, in memory only."""

import subprocess
from pathlib import Path

from peers.ports import LOOPBACK
from peers.processes import spawn, stop
from peers.started import on_free_port


class RedisServer:
    def __init__(self, log: Path) -> None:
        def launch(port: int) -> "subprocess.Popen[bytes]":
            with log.open("ab") as handle:
                options = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"]
                return spawn(["redis-server", *options, "--dir", str(log.parent)], log=handle)

        self._process, self.port = on_free_port(launch, "Redis", log)
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def stop(self) -> None:
        stop(self._process)
