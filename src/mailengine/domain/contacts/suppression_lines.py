"""The lines of a suppression list: our own export, other systems' CSV, or one address or domain a line.

Encoding, delimiter and headers are found as an import finds them. What cannot be read is told line by line and stops
nothing: a list that is half taken over would mail the other half. What is wrong with the file as a whole is said
before its first line. Hashes of erased people only mean something to the installation that made them.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.domain.contacts.formulas import revived
from mailengine.domain.contacts.imports.encoding import UNDECODED
from mailengine.domain.contacts.imports.headers import Field, field_of
from mailengine.domain.contacts.imports.mapping import address_column
from mailengine.domain.contacts.imports.records import Record
from mailengine.domain.contacts.imports.scan import opened
from mailengine.domain.contacts.imports.tables import Table
from mailengine.domain.contacts.imports.texts import Text, decoded, read_text, records_of
from mailengine.domain.contacts.suppression import Target, parse_target
from mailengine.models import SuppressionKind

_HASH = re.compile(r"[0-9a-f]{64}")
_ANY_TARGET = ("value", "address", "recipient", "domain")  # headers of addresses and domains


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: what it suppresses, or what is wrong with it."""

    number: int
    target: Target | None
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """A file that was understood: what is in which column."""

    text: Text
    value: int
    addresses: (
        bool  # by its header, the column holds e-mail addresses: a domain there is a slip, unless it has an @
    )
    kind: int | None
    reason: int | None

    def lines(self) -> Generator[Line]:
        """Every line that is not blank. Blocking: of a large file, read them in a thread."""
        facts = self.text.facts
        with opened(facts.path) as file, decoded(file, facts) as text:
            for record in records_of(self.text, text):
                yield self._line(record)

    def _line(self, record: Record) -> Line:
        value, kind = self._cell(record, self.value), self._cell(record, self.kind).casefold()
        reason = self._cell(record, self.reason)
        try:
            if record.problem:
                raise InvalidInput(record.problem)
            target = self._target(value, kind)
        except InvalidInput as error:
            return Line(record.line, None, problem=str(error))
        return Line(record.line, target, "" if UNDECODED.search(reason) else reason)

    def _target(self, value: str, kind: str) -> Target:
        if UNDECODED.search(value):
            raise InvalidInput("it holds bytes that are no text in the file's encoding")
        if kind == SuppressionKind.HASH:
            if not _HASH.fullmatch(value):
                raise InvalidInput(f"{value[:40]!r} is no hash")
            return Target(SuppressionKind.HASH, value)
        if self.addresses and "@" not in value:
            raise InvalidInput(f"{value[:40]!r} is no address; a domain is written as @example.org")
        target = parse_target(value)
        if kind in (SuppressionKind.ADDRESS, SuppressionKind.DOMAIN) and kind != target.kind:
            raise InvalidInput(f"{value[:40]!r} is no {kind}")
        return target

    @staticmethod
    def _cell(record: Record, place: int | None) -> str:
        return (
            revived(record.fields[place].strip()) if place is not None and place < len(record.fields) else ""
        )


def understand(path: Path, *, name: str = "") -> SuppressionList:
    """Raises InvalidInput with what is wrong with the file as a whole; `name` is shown in place of its path."""
    try:
        return _understood(read_text(Table(path, numbered=False)))
    except (InvalidInput, Unavailable) as error:
        raise type(error)(str(error).replace(str(path), name or str(path))) from error


def _understood(text: Text) -> SuppressionList:
    first = text.dialect.first
    names = [cell.strip().casefold() for cell in first]
    by_header = next((place for place, cell in enumerate(first) if field_of(cell) is Field.EMAIL), None)
    named = next((names.index(name) for name in _ANY_TARGET if name in names), None)
    has_header = by_header is not None or named is not None
    text = replace(text, dialect=replace(text.dialect, has_header=has_header))
    column = by_header
    if column is None and "value" in names:  # our own export
        column = names.index("value")
    if column is None:
        column = address_column(text.dialect, len(first))
    if column is None:
        column = named if named is not None else _only_column(first)
    kind, reason = (
        names.index(name) if has_header and name in names else None for name in ("kind", "reason")
    )
    return SuppressionList(text, column, by_header is not None, kind, reason)


def _only_column(first: Sequence[str]) -> int:
    """Of a bare list; raises InvalidInput where there are more and none of them is known: it could be any."""
    if len(first) > 1 and not _is_target(first[0]):
        shown = ", ".join(repr(cell[:40]) for cell in first[:12])
        raise InvalidInput(
            f"no column holds addresses or domains; the columns are {shown}: "
            "call the one that does 'email' or 'domain'"
        )
    return 0


def _is_target(text: str) -> bool:
    try:
        parse_target(revived(text.strip()))
    except InvalidInput:
        return False
    return True
