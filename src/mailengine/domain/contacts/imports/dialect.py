"""The delimiter, and whether the first record names the columns, from a sample of the text.

csv.Sniffer finds delimiters inside words and quotes of one-column files; what tells best is that splitting
by the right one leaves cells that are an address each.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.imports.headers import Field, field_of

DELIMITERS = (",", ";", "\t", "|")  # the earlier wins where all is equal, as in a file of one column
_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_SAMPLE_RECORDS = 200
_ADDRESS = re.compile(r"[^\s@<>,;|\"]+@[^\s@<>,;|\"]+\.[^\s@<>,;|\"]+")
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # what Excel writes to tell Excel


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the text is cut into records. `skip_lines` come before the first record."""

    delimiter: str
    skip_lines: int
    has_header: bool
    first: list[str]  # the first record: the headers, where it has such
    sample: list[list[str]]  # records after it

    @property
    def label(self) -> str:
        return {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}.get(self.delimiter, self.delimiter)


def looks_like_address(cell: str) -> bool:
    return len(cell) <= 320 and _ADDRESS.fullmatch(cell.strip()) is not None


def check_delimiter(text: str) -> str:
    """A delimiter that a person named, by itself or as a word."""
    found = _NAMES.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n\x00' or found.isalnum():
        raise InvalidInput(
            f"{text!r} cannot be a delimiter; use comma, semicolon, tab, pipe or one character"
        )
    return found


def detect(lines: Sequence[str], *, declared: str | None = None, numbered: bool = False) -> Dialect:
    """Understand the first lines of a file; raises InvalidInput when there is no record in them. `numbered`:
    the first column is a number of ours and is left out."""
    told = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    skip = 1 if told else 0
    rest = lines[skip:]
    delimiter = declared or (told[1] if told else _best(rest))
    records = _records(rest, delimiter)
    if numbered:
        records = [record[1:] for record in records]
    if not records:
        raise InvalidInput("the file holds no rows")
    return Dialect(delimiter, skip, not any(map(looks_like_address, records[0])), records[0], records[1:])


def _best(lines: Sequence[str]) -> str:
    return max(DELIMITERS, key=lambda delimiter: _score(_records(lines, delimiter)))


def _score(records: list[list[str]]) -> tuple[float, ...]:
    """How well a delimiter fits: known header, clean addresses, equal width, more columns."""
    if not records:
        return (0.0, 0.0, 0.0, 0.0)
    widths = Counter(map(len, records))
    width, same = widths.most_common(1)[0]
    header = sum(field_of(cell) not in (None, Field.IGNORE) for cell in records[0])
    addresses = sum(any(map(looks_like_address, record)) for record in records) / len(records)
    even = same / len(records) if width > 1 else 0.0
    return (round(addresses, 1), min(header, 1), round(even, 1), width)


def _records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    return list(islice(_readable(csv.reader(lines, delimiter=delimiter)), _SAMPLE_RECORDS))


def _readable(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if any(map(str.strip, record)):
            yield record
