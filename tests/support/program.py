"""The program as a person runs it: `run` in this process (a second cheaper), `spawn` in one of its own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mailengine.cli.main import run as main
from peers.template import copy_sqlite

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr; fails when there is more, or less, or a traceback."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"not one line: {self.err}"
        assert lines[0].startswith("mailengine: ")
        return lines[0]


class Program:
    """`mailengine` on one data directory; `environment` adds to the variables of each call."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.environment = environment

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> Ran:
        """Run a command from its arguments to its exit code, without a process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with (
            patch.dict(os.environ, self._environment(environment), clear=True),
            patch.multiple(
                sys,
                argv=["mailengine", *arguments],
                stdin=io.TextIOWrapper(io.BytesIO(stdin.encode())),
                stdout=out,
                stderr=err,
            ),
        ):
            try:
                main()
                code = 0
            except SystemExit as leaving:
                code = int(leaving.code or 0)
        return Ran(code, _text(out), _text(err))

    def ok(self, *arguments: str, **options: Any) -> Ran:
        ran = self.run(*arguments, **options)
        assert ran.code == 0, ran.err
        return ran

    def spawn(
        self,
        *arguments: str,
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> Ran:
        """Run a command in a process, after what it does `before` it starts."""
        done = subprocess.run(
            [sys.executable, "-m", "mailengine", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=before,
            env=self._environment(environment),
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def init(self, organisation: str = "Acme") -> Any:
        """An installation with one tenant; its owner logs in with PASSWORD. Its SQLite file is migrated already: that
        would be half of the time."""
        database = self.data_dir / "mailengine.sqlite3"
        if "MAILENGINE_DATABASE_URL" not in self.environment and not database.exists():
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy_sqlite(database)
            database.chmod(0o600)
        return self.ok(
            "init", "--yes", "--json",
            "--organisation", organisation,
            "--address", "Street 1\n10115 Berlin",
            "--country", "DE",
            "--admin-email", "owner@example.org",
            "--admin-password", PASSWORD,
        ).json  # fmt: skip

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
        return {**kept, "MAILENGINE_DATA_DIR": str(self.data_dir), **self.environment, **more}


def _is_setting(name: str) -> bool:
    return name.startswith("MAILENGINE_") and not name.startswith("MAILENGINE_TEST_")


def _text(stream: io.TextIOWrapper) -> str:
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()
