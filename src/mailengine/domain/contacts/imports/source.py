"""A file that was understood, and its rows in batches. All of it is blocking: it runs in a thread."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mailengine.core.errors import Conflict, InvalidInput
from mailengine.domain.contacts.imports.dialect import Dialect, check_delimiter
from mailengine.domain.contacts.imports.headers import normalise_header
from mailengine.domain.contacts.imports.hints import hints
from mailengine.domain.contacts.imports.joined import join_tables, unfold_json
from mailengine.domain.contacts.imports.kinds import infer_kinds
from mailengine.domain.contacts.imports.mapping import ColumnMap, map_columns
from mailengine.domain.contacts.imports.plan import Columns
from mailengine.domain.contacts.imports.records import Record
from mailengine.domain.contacts.imports.rows import Rejected, Row, RowReader
from mailengine.domain.contacts.imports.scan import FileFacts, opened
from mailengine.domain.contacts.imports.seen import SeenKeys
from mailengine.domain.contacts.imports.tables import open_tables
from mailengine.domain.contacts.imports.texts import Text, decoded, read_text, records_of
from mailengine.domain.contacts.states import LEFT
from mailengine.models import AttributeKind

# Larger batches touch each page of the address index once instead of many times; this size keeps two of
# them (one read, one stored) under 35 MB and SQLite's write lock under a second.
BATCH_ROWS = 4_000
FIRST_BATCH_ROWS = 2_000  # small, so that progress is seen at once


@dataclass(frozen=True, slots=True)
class Source:
    """What scan and samples told about a file. `text` may be what was unpacked of it; `stamp` (size and time of
    change) is the file's own."""

    text: Text
    what: str
    stamp: tuple[int, int]
    columns: ColumnMap
    kinds: Mapping[str, AttributeKind]  # of each attribute: said or inferred, until the tenant's are known

    @property
    def facts(self) -> FileFacts:
        return self.text.facts

    @property
    def dialect(self) -> Dialect:
        return self.text.dialect

    @property
    def fingerprint(self) -> dict[str, int]:
        """What tells the file from another, or from what it was before somebody changed it."""
        size_bytes, modified_ns = self.stamp
        return {"size": size_bytes, "modified_ns": modified_ns}

    @property
    def format(self) -> str:
        """What is known of the file besides being a text: `Mailchimp`, `sheet Contacts`."""
        return ", ".join(filter(None, (self.columns.exporter.name, self.what)))

    @property
    def written(self) -> Columns:
        """The columns that overwriting replaces."""
        targets = self.columns.targets
        full = "full_name" in targets
        return Columns(
            full or "first_name" in targets,
            full or "last_name" in targets,
            frozenset(self.columns.attributes),
        )


def understand(
    path: Path,
    *,
    mapping: Mapping[str, str],
    folder: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    part: str | None = None,
    unfinished: bool = False,
) -> Source:
    """Raises InvalidInput with what is wrong with the file as a whole; an `unfinished` mapping may lack the column of
    addresses. `folder` takes what has to be unpacked and must live as long as the source."""
    declared = check_delimiter(delimiter) if delimiter else None
    tables = open_tables(path, folder, part=part)
    status = path.stat()
    try:
        table = tables[0]
        if len(tables) > 1 or table.state:
            table = join_tables(tables, folder / "joined.csv")
        text = read_text(table, encoding=encoding, delimiter=declared)
        columns = map_columns(text.dialect, mapping, unfinished=unfinished)
        if columns.exporter.name == "listmonk":
            text = read_text(unfold_json(text, _attributes_column(columns), folder / "unfolded.csv"))
            columns = map_columns(text.dialect, mapping, exporter=columns.exporter, unfinished=unfinished)
    except InvalidInput as error:
        message = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise InvalidInput(message) from error
    kinds = {**infer_kinds(text, columns), **columns.said_kinds}
    return Source(text, table.what, (status.st_size, status.st_mtime_ns), columns, kinds)


def _attributes_column(columns: ColumnMap) -> int:
    return [normalise_header(header) for header in columns.headers].index("attributes")


@dataclass(slots=True)
class Batch:
    """What was read since the last batch; `records` counts all of the file so far, the header not."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    flagged: int = 0  # rows with hints: somebody should look at them
    records: int = 0
    bytes_done: int = 0

    @property
    def leavers(self) -> list[Row]:
        """Duplicates that say that the person left: that counts, whatever the first row of theirs says."""
        return list({row.key: row for row in self.duplicates if row.state in LEFT}.values())


class Reader:
    """Rows of a source in batches. An address that the file had already is a duplicate: the first wins."""

    def __init__(self, source: Source, *, now: datetime, skip_records: int = 0) -> None:
        self._source = source
        self._skip = skip_records
        self._batches = self._read()
        self._seen = SeenKeys()
        check_text = not source.facts.decoding.clean
        self._rows = RowReader(source.columns, source.kinds, check_text=check_text, now=now)

    def next_batch(self) -> Batch | None:
        """None at the end of the file. Raises Conflict when the file changed since it was understood."""
        return next(self._batches, None)

    def close(self) -> None:
        self._batches.close()

    def _read(self) -> Generator[Batch]:
        facts = self._source.facts
        with opened(facts.path) as file:
            try:
                yield from self._batched(file)
            except UnicodeDecodeError as error:
                raise _changed(facts) from error
            status = facts.path.stat()
            if (status.st_size, status.st_mtime_ns) != (facts.size_bytes, facts.modified_ns):
                raise _changed(facts)

    def _batched(self, file: BinaryIO) -> Iterator[Batch]:
        with decoded(file, self._source.facts) as lines:
            found = records_of(self._source.text, lines)
            read = 0
            for record in islice(found, self._skip):  # a resumed import: only which addresses they had
                read += 1
                row = self._rows.read(record.line, record.fields)
                if isinstance(row, Row):
                    self._seen.add(row.key)
            size = FIRST_BATCH_ROWS
            while chunk := list(islice(found, size)):
                read += len(chunk)
                yield self._sorted(chunk, read, file.tell())
                size = min(size * 3, BATCH_ROWS)

    def _sorted(self, chunk: list[Record], read: int, bytes_done: int) -> Batch:
        batch = Batch(records=read, bytes_done=bytes_done)
        read_row, seen = self._rows.read, self._seen.add
        for line, fields, problem in chunk:
            if problem:
                batch.rejected.append(Rejected(line, problem, fields))
                continue
            row = read_row(line, fields)
            if isinstance(row, Rejected):
                batch.rejected.append(row)
            elif seen(row.key):
                batch.rows.append(row)
                batch.flagged += bool(hints(row.key))
            else:
                batch.duplicates.append(row)
        return batch


def _changed(facts: FileFacts) -> Conflict:
    return Conflict(
        f"{facts.path} was changed while it was read; what came before is stored, import it again when it is complete"
    )
