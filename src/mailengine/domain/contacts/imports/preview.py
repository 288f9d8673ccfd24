"""What a file looks like before it is imported: its form, what each column would become, and its first rows."""

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts.imports.request import (
    FOLDER,
    ImportRequest,
    Surroundings,
    read_source,
    with_kinds,
)
from mailengine.domain.contacts.imports.scan import opened
from mailengine.domain.contacts.imports.source import Source
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.contacts.imports.texts import decoded, records_of

ROWS = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """`rows` are the first of the file as they stand there; `lines` is about how many there are."""

    source: Source
    rows: list[list[str]]
    lines: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, the same on every face."""
        columns = self.source.columns
        pairs = zip(columns.headers, columns.targets, strict=True)
        return {
            "format": self.source.format,
            "encoding": self.source.facts.decoding.label,
            "delimiter": self.source.dialect.label,
            "has_header": self.source.dialect.has_header,
            "lines": self.lines,
            "columns": [
                {
                    "header": header,
                    "target": target,
                    "kind": kind.value if (kind := self.source.kinds.get(target)) else None,
                    "examples": self._examples(number),
                }
                for number, (header, target) in enumerate(pairs)
            ],
            "rows": self.rows,
        }

    def _examples(self, number: int) -> list[str]:
        cells = dict.fromkeys(row[number].strip()[:100] for row in self.rows if number < len(row))
        return [cell for cell in cells if cell][:3]


async def preview(
    around: Surroundings, scope: Scope, request: ImportRequest, *, unfinished: bool = False
) -> Preview:
    """Raises InvalidInput for a file that cannot be imported at all; in an `unfinished` one nobody said yet which
    column holds the addresses."""
    scope.require(Grant.EDIT)
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder, unfinished=unfinished)
        async with around.db.read(scope) as tx:
            source = await with_kinds(tx, scope, source)
        rows = await asyncio.to_thread(_first_rows, source)
    return Preview(source, rows, max(source.facts.lines - source.dialect.has_header, 0))


def _first_rows(source: Source) -> list[list[str]]:
    facts = source.facts
    with opened(facts.path) as file, decoded(file, facts) as lines:
        return [record.fields for record in islice(records_of(source.text, lines), ROWS)]
