"""A text file as it was understood (encoding, dialect, numbering), and its records."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from mailengine.domain.contacts.imports.dialect import Dialect, detect
from mailengine.domain.contacts.imports.records import Record, records
from mailengine.domain.contacts.imports.scan import FileFacts, opened, scan
from mailengine.domain.contacts.imports.tables import Table

SAMPLE_LINES = 400


@dataclass(frozen=True, slots=True)
class Text:
    """`numbered`: the first column is the row's number in the original, and is no column here."""

    facts: FileFacts
    dialect: Dialect
    numbered: bool


def read_text(table: Table, *, encoding: str | None = None, delimiter: str | None = None) -> Text:
    """Raises InvalidInput with what is wrong with the file as a whole."""
    if table.numbered:  # we wrote it
        encoding, delimiter = "utf-8", ","
    facts = scan(table.path, declared_encoding=encoding)
    with opened(table.path) as file, decoded(file, facts) as text:
        dialect = detect(list(islice(text, SAMPLE_LINES)), declared=delimiter, numbered=table.numbered)
    return Text(facts, dialect, table.numbered)


@contextmanager
def decoded(file: BinaryIO, facts: FileFacts) -> Iterator[io.TextIOWrapper]:
    decoding = facts.decoding
    # newline="": line breaks inside quotes stay what they are, CR alone ends a line too.
    with io.TextIOWrapper(file, encoding=decoding.codec, errors=decoding.errors, newline="") as text:
        yield text


def records_of(text: Text, lines: io.TextIOWrapper) -> Iterator[Record]:
    """Every record after the header, with its number in the original."""
    dialect = text.dialect
    for _ in range(dialect.skip_lines):
        next(lines)
    found = records(lines, delimiter=dialect.delimiter, first_line=1 + dialect.skip_lines)
    if dialect.has_header:
        next(found, None)
    return map(_renumbered, found) if text.numbered else found


def _renumbered(record: Record) -> Record:
    return Record(int(record.fields[0]), record.fields[1:], record.problem)
