"""CSV records from lines, each with the number of the line it begins at; one broken record costs itself only.

csv.reader swallows whatever follows a quote that is never closed, up to the next quote or the end of the
file. Here a record that the strict parser refuses is given up at its first line, and reading goes on with the
second. A single line with stray quotes in it (`"The "Best" Ltd"`) is read as spreadsheets read it.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_RECORD_LINES = 1000  # an unclosed quote in a file without quotes must not gather a million lines
_UNCLOSED = "a quote is opened and not closed properly"


class Record(NamedTuple):
    line: int
    fields: list[str]
    problem: str  # empty: readable


class _TooLong(Exception):
    """A record goes on for more than MAX_RECORD_LINES."""


class _Feed(Iterator[str]):
    """Physical lines for csv.reader; those of the present record can be given back."""

    def __init__(self, lines: Iterable[str], first_line: int) -> None:
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self.line = first_line - 1

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.line += 1
        self.taken.append(line)
        if len(self.taken) > MAX_RECORD_LINES:
            raise _TooLong
        return line

    def give_back(self, lines: list[str]) -> None:
        self._again.extendleft(reversed(lines))
        self.line -= len(lines)


def records(lines: Iterable[str], *, delimiter: str, first_line: int = 1) -> Iterator[Record]:
    """Every record that is not blank."""
    feed = _Feed(lines, first_line)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.taken.clear()
        start = feed.line + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            yield _recover(feed, start, delimiter, error)
            continue
        if any(fields):
            yield Record(start, fields, "")


def _recover(feed: _Feed, start: int, delimiter: str, error: Exception) -> Record:
    first, *rest = feed.taken
    feed.give_back(rest)
    if not rest and "unexpected end" not in str(error):
        try:
            return Record(start, next(csv.reader([first], delimiter=delimiter)), "")
        except (csv.Error, StopIteration):
            return Record(start, _split(first, delimiter), _limit(error))
    return Record(start, _split(first, delimiter), _UNCLOSED if "larger" not in str(error) else _limit(error))


def _limit(error: Exception) -> str:
    if "field larger" in str(error):
        return f"a field is longer than {csv.field_size_limit():,} characters"
    return f"the row cannot be read: {error}"


def _split(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)
