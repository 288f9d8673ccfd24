"""Runs the real program in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
        done = subprocess.run(
            [sys.executable, "-m", "mailengine", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**kept, "MAILENGINE_DATA_DIR": str(self.data_dir), **self.environment, **environment},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, **options: str) -> Ran:
        ran = self.run(*arguments, **options)
        assert ran.code == 0, ran.err
        return ran

    def init(self, organisation: str = "Acme") -> Any:
        """An installation with one tenant; its owner logs in with PASSWORD."""
        return self.ok(
            "init", "--yes", "--json",
            "--organisation", organisation,
            "--address", "Street 1\n10115 Berlin",
            "--country", "DE",
            "--admin-email", "owner@example.org",
            "--admin-password", PASSWORD,
        ).json  # fmt: skip


def _is_setting(name: str) -> bool:
    return name.startswith("MAILENGINE_") and not name.startswith("MAILENGINE_TEST_")
