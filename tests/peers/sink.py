"""SMTP servers that swallow: Postfix's smtp-sink (speed) and our counting sink (who got what)."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.ports import LOOPBACK, POLL_SECONDS, wait_until
from peers.processes import spawn, spawn_module, stop
from peers.started import on_free_port


class SmtpSink:
    """Postfix's smtp-sink, a C program that accepts and forgets."""

    def __init__(self, log: Path, *options: str) -> None:
        program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None
        # As root it refuses to run without a user to become.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []

        def launch(port: int) -> "subprocess.Popen[bytes]":
            with log.open("ab") as handle:
                return spawn([program, *user, *options, f"{LOOPBACK}:{port}", "1024"], log=handle)

        self.host = LOOPBACK
        self._process, self.port = on_free_port(launch, "smtp-sink", log)

    def stop(self) -> None:
        stop(self._process)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message that the counting sink accepted, written before it said so."""

    sender: str
    recipients: list[str]
    message_id: str
    connection: int
    size_bytes: int


class CountingSink:
    """`peers.counting_sink` in its own process; options as on its command line: delay_ms=2."""

    _read_bytes = _lines = 0  # of its log, by `accepted`

    def __init__(self, log: Path, *, port: int = 0, **options: Any) -> None:
        self.host, self.log = LOOPBACK, log
        arguments = [
            part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._process = spawn_module(
            "peers.counting_sink", "--port", str(port), "--log", str(log), *arguments
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def envelopes(self) -> list[Envelope]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [Envelope(**json.loads(line)) for line in lines]

    def received(self) -> Counter[str]:
        """How many messages each recipient was accepted for."""
        return Counter(recipient for envelope in self.envelopes() for recipient in envelope.recipients)

    def accepted(self) -> int:
        """The number of lines, cheap enough to wait on: only what is new is read."""
        if self.log.exists():
            with self.log.open("rb") as written:
                written.seek(self._read_bytes)
                new = written.read()
            self._read_bytes += len(new)
            self._lines += new.count(b"\n")
        return self._lines

    def wait_for(self, n: int, seconds: float = 60) -> None:
        """Notices it within a hundredth of a second: many a test kills somebody then."""
        wait_until(lambda: self.accepted() >= n, f"{n} messages at the sink", seconds, every=POLL_SECONDS)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        stop(self._process, signum)
