"""Suppression lists as files: taken over, and given out in the form that is taken (`suppression_lines.py`)."""

import csv
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TextIO

from anyio import to_thread
from sqlmodel import col

from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import states
from mailengine.domain.contacts.formulas import defused
from mailengine.domain.contacts.suppression import Target, erased_hash, list_suppressions, suppress_all
from mailengine.domain.contacts.suppression_lines import Line, understand
from mailengine.models import Contact, ContactState, Suppression, SuppressionKind

_PAGE = 5000
SHOWN = 20  # of the lines that could not be read
COLUMNS = ("kind", "value", "reason", "source", "created_at")


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


async def take_over(
    db: Database,
    scope: Scope,
    path: Path,
    *,
    name: str,
    reason: str,
    hash_key: bytes,
    now: Callable[[], datetime],
) -> Taken:
    """Suppress all that a file names, a few thousand lines a transaction; doing it twice does no harm. Raises
    InvalidInput for a file that is no such list, before anything is stored.

    `name` is shown in place of the path; `reason` is for lines that give none.
    """
    scope.require(Grant.EDIT)
    listed = await to_thread.run_sync(lambda: understand(path, name=name))
    taken, hashes = Taken(), set[str]()
    with closing(listed.lines()) as lines:
        while page := await to_thread.run_sync(next_page, lines, _PAGE):
            async with db.write(scope) as tx:
                added = await take_page(
                    tx, scope, page, reason=reason, source=f"import of {name}"[:200], now=now()
                )
            hashes |= hashes_in(page)
            taken.note(page, added)
    if hashes:
        await suppress_hashed(db, scope, hashes, hash_key, now)
    return taken


def next_page(lines: Iterator[Line], size: int) -> list[Line]:
    """Blocking."""
    return list(islice(lines, size))


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
    return (*map(defused, cells), row.created_at.isoformat(timespec="seconds"))
