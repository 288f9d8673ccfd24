"""Which real peers this machine has.

A missing one is named in the summary: its tests are skipped, with CI=true they fail.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from peers import postfix, postgres_server
from peers.shared import run_directory


def _program(*names: str) -> Callable[[], str | None]:
    """One of them is enough."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"

    def lacking() -> str | None:
        there = any(shutil.which(name, path=path) for name in names)
        return None if there else f"no program {' or '.join(names)}"

    return lacking


LACKING: dict[str, Callable[[], str | None]] = {
    "postgres": postgres_server.lacking,
    "postfix": postfix.lacking,
    "smtp_sink": _program("smtp-sink"),
    "smtp_source": _program("smtp-source"),
    "redis": _program("redis-server"),
    "chromium": _program("chromium-headless-shell", "chromium"),
    "tmux": _program("tmux"),
}


def require(name: str) -> None:
    """Skips (or under CI fails) the running test when the machine lacks that peer."""
    reason = LACKING[name]()
    if reason is None:
        return
    note = run_directory() / "missing"
    note.mkdir(exist_ok=True)
    (note / name).write_text(reason)
    message = f"peer {name} is missing ({reason}): run `make test` as root, or install it"
    if re.fullmatch("1|true|yes", os.environ.get("CI", ""), re.IGNORECASE):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def missing(run: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((run / "missing").glob("*"))}
