"""The log's file: a JSON object a line, appended by every process of a daemon, turned over by one of them.

Each line opens the file anew (20 µs, and lines are few): so nobody goes on writing into a file that was turned over,
deleted or replaced by a restored one. Two files are kept, this one and the one before it.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from structlog.typing import EventDict, WrappedLogger


class LogFile:
    """A processor of structlog that passes every event on as it came; what cannot be written is lost and no more."""

    def __init__(self, path: Path, *, most_bytes: int, turns: bool) -> None:
        self._path, self._most_bytes, self._turns = path, most_bytes, turns

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        line = json.dumps(event, ensure_ascii=False, default=str) + "\n"
        with suppress(OSError):
            self._append(line.encode(errors="replace"))
        return event

    def _append(self, line: bytes) -> None:
        file = self._opened()
        try:
            os.write(file, line)  # one call: lines of several processes do not mix
            full = self._turns and os.fstat(file).st_size > self._most_bytes
        finally:
            os.close(file)
        if full:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except (
            FileNotFoundError
        ):  # the first line; in a data directory that is not there yet, nothing is written
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            return os.open(self._path, flags, 0o600)
