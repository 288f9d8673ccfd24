"""Several tables as one: Mailchimp's archive of a file for each state, and listmonk's column of JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.attributes import MAX_ATTRIBUTES
from mailengine.domain.contacts.imports.mapping import headers_of
from mailengine.domain.contacts.imports.records import Record
from mailengine.domain.contacts.imports.scan import opened
from mailengine.domain.contacts.imports.tables import Table, write_numbered
from mailengine.domain.contacts.imports.texts import Text, decoded, read_text, records_of

FILE, STATE = "import_file", "contact_state"


def join_tables(tables: Sequence[Table], target: Path) -> Table:
    """One numbered text of all; each row says which file it came from and that file's state."""
    texts = [read_text(table) for table in tables]
    headers = list(dict.fromkeys(name for text in texts for name in headers_of(text.dialect)))

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        for text, table in zip(texts, tables, strict=True):
            places = [headers.index(header) for header in headers_of(text.dialect)]
            for line, fields in _rows(text):
                cells = [""] * len(headers)
                for place, cell in zip(places, fields, strict=False):
                    cells[place] = cell
                yield line, (table.what, table.state, *cells, *fields[len(places) :])

    return write_numbered(target, (FILE, STATE, *headers), rows())


def unfold_json(text: Text, column: int, target: Path) -> Table:
    """Each key of the objects in a column becomes a column of its own, in place of that one."""
    keys: dict[str, None] = {}
    for _, fields in _rows(text):
        keys.update(dict.fromkeys(_object(fields, column)))
        if len(keys) > MAX_ATTRIBUTES:
            raise InvalidInput(f"its contacts have more than {MAX_ATTRIBUTES} different attributes")
    headers = list(headers_of(text.dialect))

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        for line, fields in _rows(text):
            values = _object(fields, column)
            rest = [cell for number, cell in enumerate(fields[: len(headers)]) if number != column]
            rest += [""] * (len(headers) - 1 - len(rest))
            yield line, (*rest, *(_cell(values.get(key)) for key in keys), *fields[len(headers) :])

    kept = [name for number, name in enumerate(headers) if number != column]
    used = set(kept)
    return write_numbered(
        target, (*kept, *(key if key not in used else f"{key} (2)" for key in keys)), rows()
    )


def _rows(text: Text) -> Iterator[tuple[int, list[str]]]:
    with opened(text.facts.path) as file, decoded(file, text.facts) as lines:
        width = len(text.dialect.first)
        for record in records_of(text, lines):
            yield record.line, record.fields if not record.problem else _broken(record, width)


def _broken(record: Record, width: int) -> list[str]:
    """Wider than its table, so that it is rejected: what is wrong with it must not be lost on the way."""
    return [*record.fields[:width], *[""] * (width - len(record.fields)), record.problem]


def _object(fields: Sequence[str], column: int) -> dict[str, object]:
    if column >= len(fields) or not fields[column].strip():
        return {}
    try:
        found = json.loads(fields[column])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key[:200].encode(errors="replace").decode(): value for key, value in found.items()}


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():  # half a character, which JSON can spell, as bytes that are no text: its row is rejected
            return value.encode(errors="surrogatepass").decode(errors="surrogateescape")
        case _:
            return json.dumps(value, ensure_ascii=False)
