"""The servers that chaos kills and starts again on the same port: SMTP with its log, PostgreSQL with its data."""

import asyncio
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from peers import postgres_server
from peers.ports import LOOPBACK, answers, wait_until
from peers.processes import TESTS, spawn, stop
from peers.sink import CountingSink
from peers.template import prepare_template

ROOT = Path(__file__).resolve().parents[1]
ROLE, TEMPLATE = "mailengine_app", "mailengine_template"
_ATTEMPTS = 20  # somebody's outgoing connection may hold the port for a moment


class ChaosSink(CountingSink):
    """`benchmarks.chaos_sink`, killed and started on the port that it had at first."""

    def __init__(self, folder: Path, *, delay_ms: float, seed: int) -> None:
        self.host, self.log = LOOPBACK, folder / "accepted.log"
        self._mood, self._drops = folder / "mood.json", folder / "drops.log"
        self._delay_ms, self._seed = delay_ms, seed
        self._mood.write_text("{}")
        self.port = 0
        self.start()

    def start(self) -> None:
        for _ in range(_ATTEMPTS):
            self._process = self._launch()
            assert self._process.stdout is not None
            said = self._process.stdout.readline()
            if said:
                self.port = int(said)
                return
            stop(self._process)
        raise RuntimeError(f"the SMTP server cannot have its port {self.port} back")

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def feel(self, **chances: float) -> None:
        """Change its mood now; without chances it does all that it is asked."""
        draft = self._mood.with_suffix(".new")
        draft.write_text(json.dumps(chances))
        draft.rename(self._mood)
        self._process.send_signal(signal.SIGUSR1)

    def drops(self) -> int:
        """How many connections it dropped so far."""
        return self._drops.read_bytes().count(b"\n") if self._drops.exists() else 0

    def _launch(self) -> "subprocess.Popen[bytes]":
        files = {"log": self.log, "mood": self._mood, "drops": self._drops}
        options = {"port": self.port, "delay-ms": self._delay_ms, "seed": self._seed, **files}
        said = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return spawn(
            [sys.executable, "-m", "benchmarks.chaos_sink", *said],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join((str(ROOT), str(TESTS)))},
        )


class ThrowAwayPostgres:
    """A PostgreSQL of its own. What it has said is committed survives `crash`: unlike the tests' shared one, it
    writes a commit to its log before it says so. (Not to the disk: nobody cuts the power here.)"""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="mailengine-chaos-pg-")
        place = Path(self._directory.name)
        place.chmod(0o755)
        server = place / "server"
        server.mkdir()
        started = postgres_server.start(server)
        self.port, self._process = int(started.facts["port"]), started.process
        self._command = [*map(str, _arguments(started.process)), "-c", "synchronous_commit=on"]
        owner = pwd.getpwuid((server / "data").stat().st_uid)
        self._who: dict[str, Any] = (
            {"user": owner.pw_name, "group": owner.pw_gid} if os.geteuid() == 0 else {}
        )
        self._log = place / "restarts.log"
        self._names = (f"chaos_{number}" for number in count(1))
        self.crash()
        self.start()
        self._sql(
            f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS", f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}"
        )
        prepare_template(self.dsn(TEMPLATE))

    def dsn(self, name: str) -> str:
        return f"postgresql+asyncpg://{ROLE}@{LOOPBACK}:{self.port}/{name}"

    def crash(self) -> None:
        """Immediate mode: no backend finishes anything, the next start recovers from the log."""
        stop(self._process, signal.SIGQUIT)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = spawn(self._command, log=log, parent_death=signal.SIGQUIT, **self._who)
        wait_until(self._serves, "PostgreSQL has recovered", 60)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of a fresh migrated database."""
        name = next(self._names)
        self._sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {ROLE}")
        try:
            yield self.dsn(name)
        finally:
            self._sql(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        stop(self._process, signal.SIGINT)
        self._directory.cleanup()

    def _serves(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended: {self._log.read_text(errors='replace')[-2000:]}")
        if not answers(self.port):
            return False
        try:
            self._sql("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _sql(self, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(
                host=LOOPBACK, port=self.port, user="postgres", database="postgres", ssl=False
            )
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())


def _arguments(process: "subprocess.Popen[bytes]") -> list[str]:
    assert isinstance(process.args, list)
    return process.args
