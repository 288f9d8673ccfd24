"""Suppression lists as files: our own, those of other systems, and bare lists of addresses.

A file is CSV in UTF-8 with a header (`value` or a name that says address, e-mail or domain; `kind`, `reason` and
`source` where there are any), or one address or domain a line. What cannot be read is told line by line and stops
nothing: a list that is half taken over would mail the other half. Hashes of erased people only mean something to
the installation that made them.
"""

import csv
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import states
from mailengine.domain.contacts.suppression import (
    Target,
    erased_hash,
    list_suppressions,
    parse_target,
    suppress_all,
)
from mailengine.models import Contact, ContactState, Suppression, SuppressionKind

_HASH = re.compile(r"[0-9a-f]{64}")
_NAMES = frozenset({"value", "email", "e-mail", "email address", "address", "mail", "domain", "recipient"})
_PAGE = 5000
SHOWN = 20  # of the lines that could not be read
# A spreadsheet takes what begins so for a formula; the apostrophe is taken off again by whoever reads it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = ("kind", "value", "reason", "source", "created_at")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: what it suppresses, or what is wrong with it."""

    number: int
    target: Target | None
    reason: str = ""
    problem: str = ""


@dataclass(slots=True)
class Taken:
    """What came of a file."""

    lines: int = 0
    added: int = 0
    rejected: int = 0
    problems: list[Line] = field(default_factory=list)  # the first few

    @property
    def known(self) -> int:
        return self.lines - self.rejected - self.added

    def note(self, page: Sequence[Line], added: int) -> None:
        """What came of a page of them."""
        wrong = [line for line in page if line.target is None]
        self.lines += len(page)
        self.added += added
        self.rejected += len(wrong)
        self.problems += wrong[: SHOWN - len(self.problems)]


def read(file: TextIO) -> Iterator[Line]:
    """Every line that is not blank; raises InvalidInput for a file that is no text."""
    try:
        rows = ((number, row) for number, row in enumerate(_rows(file), 1) if any(row))
        first = next(rows, None)
        if first is None:
            return
        names = [cell.strip().casefold() for cell in first[1]]
        at = next((place for place, name in enumerate(names) if name in _NAMES), None)
        columns = (
            {"value": 0} if at is None else {name: place for place, name in enumerate(names)} | {"value": at}
        )
        for number, row in rows if at is not None else chain([first], rows):
            yield _line(number, row, columns)
    except UnicodeDecodeError as error:
        raise InvalidInput("the file is not text in UTF-8") from error
    except csv.Error as error:
        raise InvalidInput(f"the file cannot be read as CSV: {error}") from error


def _rows(file: TextIO) -> Iterator[list[str]]:
    head = list(islice(file, 1))
    found = [mark for mark in ",;\t" if head and mark in head[0]]
    yield from csv.reader(chain(head, file), delimiter=found[0] if found else ",")


def _line(number: int, row: list[str], columns: dict[str, int]) -> Line:
    def cell(name: str) -> str:
        place = columns.get(name)
        text = row[place].strip() if place is not None and place < len(row) else ""
        return text[1:] if text.startswith("'") and text[1:2] in _FORMULA else text

    value, kind = cell("value"), cell("kind").casefold()
    try:
        if kind == SuppressionKind.HASH:
            if not _HASH.fullmatch(value):
                raise InvalidInput(f"{value!r} is no hash")
            return Line(number, Target(SuppressionKind.HASH, value), cell("reason"))
        target = parse_target(value)
        if kind and kind != target.kind:
            raise InvalidInput(f"{value!r} is no {kind}")
        return Line(number, target, cell("reason"))
    except InvalidInput as error:
        return Line(number, None, problem=str(error))


async def take_over(
    db: Database,
    scope: Scope,
    lines: Iterable[Line],
    *,
    reason: str,
    source: str,
    hash_key: bytes,
    now: Callable[[], datetime],
) -> Taken:
    """Suppress all that the lines name, a few thousand a transaction; doing it twice does no harm.

    `reason` is for lines that give none.
    """
    scope.require(Grant.EDIT)
    taken, hashes, each = Taken(), set[str](), iter(lines)
    while page := list(islice(each, _PAGE)):
        async with db.write(scope) as tx:
            added = await take_page(tx, scope, page, reason=reason, source=source, now=now())
        hashes |= hashes_in(page)
        taken.note(page, added)
    if hashes:
        await suppress_hashed(db, scope, hashes, hash_key, now)
    return taken


async def take_page(
    tx: WriteTx, scope: Scope, page: Sequence[Line], *, reason: str, source: str, now: datetime
) -> int:
    """Suppress what some lines name; returns how many are new."""
    by_reason: dict[str, list[Target]] = {}
    for line in page:
        if line.target is not None:
            by_reason.setdefault(line.reason or reason, []).append(line.target)
    return sum(
        [
            await suppress_all(tx, scope, targets, reason=why, source=source, now=now)
            for why, targets in by_reason.items()
        ]
    )


def hashes_in(page: Sequence[Line]) -> set[str]:
    targets = [line.target for line in page if line.target is not None]
    return {target.value for target in targets if target.kind is SuppressionKind.HASH}


async def suppress_hashed(
    db: Database, scope: Scope, hashes: set[str], hash_key: bytes, now: Callable[[], datetime]
) -> None:
    """A hash cannot be looked up from an address in SQL: the contacts that are there are compared here, once."""
    last = 0
    while True:
        query = owned(Contact, scope).where(col(Contact.id) > last, col(Contact.erased_at).is_(None))
        page_query = query.with_only_columns(col(Contact.id), col(Contact.email_key))
        async with db.read(scope) as tx:
            rows = (await tx.execute(page_query.order_by(col(Contact.id)).limit(_PAGE))).all()
        if not rows:
            return
        last = rows[-1][0] or 0
        found = [identity for identity, key in rows if erased_hash(hash_key, key) in hashes]
        if found:
            async with db.write(scope) as write:
                chosen = col(Contact.id).in_(found)
                await states.move_all(write, scope, chosen, ContactState.SUPPRESSED, now())


async def rows(db: Database, scope: Scope, *, now: datetime) -> AsyncIterator[list[tuple[str, ...]]]:
    """The whole list as lines of CSV, newest first, a page at a time; the audit log says who took it."""
    async with db.write(scope) as write:
        await audit.record(write, scope, "suppression.export", "suppression", None, now=now)
    cursor: str | None = None
    while True:
        async with db.read(scope) as tx:
            page = await list_suppressions(tx, scope, page=PageRequest(1000, cursor))
        yield [_written(row) for row in page.items]
        cursor = page.next
        if cursor is None:
            return


async def write_out(db: Database, scope: Scope, out: TextIO, *, now: datetime) -> int:
    """`rows` as a file; returns how many lines it has."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    async for page in rows(db, scope, now=now):
        writer.writerows(page)
        count += len(page)
    return count


def _written(row: Suppression) -> tuple[str, ...]:
    cells = (row.kind, row.value, row.reason, row.source)
    return (*map(_harmless, cells), row.created_at.isoformat(timespec="seconds"))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def opened(path: Path) -> TextIO:
    """A file to read; raises InvalidInput where it cannot be."""
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
