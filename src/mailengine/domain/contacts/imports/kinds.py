"""Of what kind a file's attributes are, from the first records and from some out of every part of the file:
the first thousand customers may all have a number where the others have a name."""

import csv

from mailengine.domain.contacts.attribute_values import infer
from mailengine.domain.contacts.imports.headers import FIELDS
from mailengine.domain.contacts.imports.mapping import ColumnMap
from mailengine.domain.contacts.imports.scan import opened
from mailengine.domain.contacts.imports.texts import Text
from mailengine.models import AttributeKind

_PARTS = 32
_PART_BYTES = 8192


def infer_kinds(text: Text, columns: ColumnMap) -> dict[str, AttributeKind]:
    """Attribute → kind."""
    dialect = text.dialect
    records = [*dialect.sample, *_far_records(text, len(columns.targets))]
    if not dialect.has_header:
        records.append(dialect.first)
    return {
        name: infer([record[number] for record in records if number < len(record)])
        for number, name in enumerate(columns.targets)
        if name not in FIELDS
    }


def _far_records(text: Text, width: int) -> list[list[str]]:
    """Whole records from all over a large file. What is cut in the middle has another width as a rule; where it
    has not, it makes its column a text, which every value is."""
    facts, first = text.facts, int(text.numbered)
    if facts.size_bytes < 2 * _PARTS * _PART_BYTES or facts.decoding.wide:
        return []
    found: list[list[str]] = []
    with opened(facts.path) as file:
        for part in range(1, _PARTS):
            file.seek(facts.size_bytes * part // _PARTS)
            lines = file.read(_PART_BYTES).splitlines(keepends=True)[1:-1]
            texts = [line.decode(facts.decoding.codec, "replace") for line in lines]
            try:
                for record in csv.reader(texts, delimiter=text.dialect.delimiter):
                    if len(record) == width + first:
                        found.append(record[first:])
            except csv.Error:
                continue
    return found
