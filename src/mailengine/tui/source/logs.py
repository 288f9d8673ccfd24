"""The daemon's log file, followed from its end, also while it is turned over."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mailengine.core.config import Settings
from mailengine.core.log import daemon_log

_TAIL_BYTES = 200_000  # of what was written before we came
_OWN = ("timestamp", "level", "part", "event")


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event; `fields` is what else it said."""

    at: str
    level: str
    part: str
    event: str
    fields: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All of it, for a search."""
        said = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.at} {self.level} {self.part} {self.event} {said}".rstrip()


class LogTail:
    """Each `more` gives the lines that came since the one before; the first gives the last that are there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._offset = -1, 0
        self._half = b""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(daemon_log(settings))

    def more(self) -> list[LogLine]:
        """Raises OSError where the file cannot be read; one that is not there yet has no lines."""
        lines: list[bytes] = []
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            known = os.fstat(file.fileno())
            if known.st_ino != self._inode or known.st_size < self._offset:
                lines += self._begin(known)
            file.seek(self._offset)
            read = self._half + file.read()
        self._offset += len(read) - len(self._half)
        *whole, self._half = read.split(b"\n")
        return [line for raw in (*lines, *whole) if (line := _line(raw)) is not None]

    def _begin(self, known: os.stat_result) -> list[bytes]:
        """At another file; what was still written into the one before is read to its end."""
        rest: list[bytes] = []
        if self._inode != -1:
            rest = self._rest_of_old()
            self._offset = 0
        else:
            self._offset = max(0, known.st_size - _TAIL_BYTES)
        self._inode, self._half = known.st_ino, b""
        return rest

    def _rest_of_old(self) -> list[bytes]:
        old = self.path.with_name(f"{self.path.name}.1")
        try:
            with old.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != self._inode:
                    return []
                file.seek(self._offset)
                return (self._half + file.read()).split(b"\n")
        except OSError:
            return []


def _line(raw: bytes) -> LogLine | None:
    """None for a line that is cut off, at the start of a tail or by a full disk."""
    try:
        event = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    fields = {name: value for name, value in event.items() if name not in _OWN}
    at, level, part, said = (str(event.get(name, "")) for name in _OWN)
    return LogLine(at, level, part, said, fields)
