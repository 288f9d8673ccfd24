"""Pages of the contacts that a text describes.

The index, the queue of what is not in it yet and the tags name candidates (`Sources`); a condition on
the contact itself decides. While candidates are few, they are all looked at: the number is exact and any order will
do. When they are many, the page comes from those that follow its cursor, which are in the order of ids, too; where
that is not the order, from all of them that are right, as long as that is quicker than what is left: to read the
contacts themselves in their order.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import count_rows, keyset_page, place_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.search.grams import mark_of, number_of, telling
from mailengine.domain.contacts.search.index import FTS, GRAMS, QUEUE
from mailengine.domain.contacts.search.linked import FEW, carriers, unindexed
from mailengine.domain.contacts.search.match import Match
from mailengine.models import Contact

MANY = 10_000  # candidates that are rather looked at than a million contacts: half a tenth of a second
_NEAR = 20_000  # of the index: a hundredth of a second
_HARDLY_WRONG = 4  # times a page of candidates is nearly always enough for a page of those that are right


@dataclass(frozen=True, slots=True)
class _Span:
    """Ids on one side of a page's cursor, in the direction of reading."""

    last: int | None = None
    down: bool = False

    def of(self, query: sa.Select[Any], column: Any) -> sa.Select[Any]:
        if self.last is not None:
            query = query.where(column < self.last if self.down else column > self.last)
        return query.order_by(column.desc() if self.down else column.asc())

    def among(self, ascending: Sequence[int], most: int) -> Sequence[int]:
        if self.down:
            end = len(ascending) if self.last is None else bisect_left(ascending, self.last)
            return ascending[max(0, end - most) : end][::-1]
        start = 0 if self.last is None else bisect_right(ascending, self.last)
        return ascending[start : start + most]


_Query = tuple[sa.Select[Any], Any]  # with its column of ids


class _Source:
    """Names candidates by queries, of which the quicker ones name more: the first that does not name too many is
    enough. Once all are known, they are not asked for again."""

    frequent = False  # whether so many contacts are named that a walk through them meets enough

    def __init__(self, *queries: _Query) -> None:
        self._queries = queries
        self._all: Sequence[int] | None = None

    async def ids(self, tx: ReadTx, span: _Span, most: int) -> Sequence[int]:
        """The first of them in the span's direction, up to one more than `most`."""
        if self._all is None:
            named, known = await self._named(tx, span, most)
            if span.last is None and len(named) <= known:
                self._all = sorted(named)
            return named[: most + 1]
        return span.among(self._all, most + 1)

    async def _named(self, tx: ReadTx, span: _Span, most: int) -> tuple[Sequence[int], int]:
        """With the number of which there are no more if there are not more of them."""
        *quicker, (query, column) = self._queries
        for quick, by in quicker:
            named = await _in_one(tx, span.of(quick, by).limit(max(most, MANY) + 1))
            if len(named) <= max(most, MANY):
                return named, max(most, MANY)
        return await _in_one(tx, span.of(query, column).limit(most + 1)), most


class _Grams(_Source):
    """The index on PostgreSQL, which misjudges how soon a walk in the order of ids meets those that have the groups,
    and would look at a million. So it walks through the nearest only; if too few of them do, the GIN index finds all
    that do."""

    def __init__(self, scope: Scope, wanted: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self._scope, self._wanted = scope, wanted
        self._ways = _ways(wanted)

    async def _named(self, tx: ReadTx, span: _Span, most: int) -> tuple[Sequence[int], int]:
        near = span.of(sa.select(GRAMS), GRAMS.c.contact_id).limit(_NEAR).subquery()
        query = sa.select(near.c.contact_id).where(self._has(near.c.grams, self._wanted))
        named = await _in_one(tx, span.of(query, near.c.contact_id).limit(most + 1))
        if len(named) > most:
            self.frequent = self.frequent or most >= FEW
            return named, most
        if not self.frequent:  # they may all be found at once
            most = max(most, MANY)
        for wanted in self._ways:
            query = sa.select(GRAMS.c.contact_id).where(self._has(GRAMS.c.grams, wanted))
            by = GRAMS.c.contact_id + 0  # in the order of no index: they are sorted
            named = await _in_one(tx, span.of(query, by).limit(most + 1))
            if len(named) <= most:
                break
        return named, most

    def _has(self, grams: Any, wanted: Sequence[Sequence[str]]) -> sa.ColumnElement[bool]:
        return sa.or_(*(_has_all(self._scope, grams, groups) for groups in wanted))


async def _in_one(tx: ReadTx, query: sa.Select[Any]) -> Sequence[int]:
    """The ids, from PostgreSQL as one array: ten thousand rows take a driver half of what finding them takes."""
    if not tx.postgres:
        return (await tx.scalars(query)).all()
    found: Sequence[int] = await tx.scalar(sa.select(sa.func.array(query.scalar_subquery()))) or ()
    return found


class Sources:
    """Names candidates, of which nobody right is missing."""

    def __init__(self, *sources: _Source) -> None:
        self._sources = sources

    @property
    def frequent(self) -> bool:
        return any(source.frequent for source in self._sources)

    async def ids(self, tx: ReadTx, span: _Span, most: int) -> set[int]:
        """The first of them in the span's direction, up to one more than `most` of each source."""
        found: set[int] = set()
        for source in self._sources:
            found.update(await source.ids(tx, span, most))
        return found


def sources_of(tx: ReadTx, scope: Scope, match: Match) -> Sources | None:
    """Where a text's candidates come from; None when it is too short for the index."""
    if not match.wanted:
        return None
    queued = sa.select(QUEUE.c.contact_id).where(QUEUE.c.tenant_id == scope.tenant_id)
    sources = [_indexed(tx, scope, match.wanted), _Source((queued, QUEUE.c.contact_id))]
    if match.tag_ids:
        sources.append(_Source(carriers(scope, match.tag_ids)))
    return Sources(*sources)


async def page_among(
    tx: ReadTx,
    right: sa.Select[Contact],
    sources: Sources | None,
    page: PageRequest,
    *,
    key: Any,
    walk: sa.Select[Contact] | None = None,
    newest_first: bool = False,
) -> Page[Contact]:
    """A page of `right`, a select of the tenant's contacts, by `key` (their id or address key). Of more than FEW
    only so many are counted, where that is asked for. `walk`: the same in a form for reading many in their order."""
    if sources is None:
        candidates = set((await tx.scalars(_ids_of(right).limit(FEW + 1))).all())
    else:
        candidates = await sources.ids(tx, _Span(), FEW)
    near = sorted(candidates)[:FEW]
    if len(candidates) <= FEW:
        ids = near if sources is None else (await tx.scalars(_ids_of(_among(tx, right, near)))).all()
        by = key if key is col(Contact.id) else unindexed(tx, key)
        chosen = _among(tx, right.where(sa.true()), ids)
        return await keyset_page(tx, chosen, key, page, newest_first=newest_first, total=len(ids), by=by)
    total = FEW if sources is None else 0
    if sources is not None and page.count:
        total = await count_rows(tx, _among(tx, right, near))
    found = None
    if sources is not None and key is col(Contact.id):
        found = await _following(tx, right, sources, page, newest_first=newest_first, total=total)
    elif sources is not None and not sources.frequent:
        found = await _sorted(tx, right, sources, page, key=key, newest_first=newest_first, total=total)
    if found is None:
        many = right if walk is None else walk
        found = await keyset_page(tx, many, key, page, newest_first=newest_first, total=total)
    whole = found.next is None and found.previous is None
    return replace(found, total=len(found.items) if whole else found.total, exact=whole)


async def _following(
    tx: ReadTx,
    right: sa.Select[Contact],
    sources: Sources,
    page: PageRequest,
    *,
    newest_first: bool,
    total: int,
) -> Page[Contact] | None:
    """The page by id from the candidates that follow its cursor, of which more are asked for while too few are
    right; None when they are too many for that."""
    down, last = place_of(page.cursor, col(Contact.id), newest_first=newest_first)
    steps = {min(_HARDLY_WRONG * page.limit, FEW), FEW, FEW if sources.frequent else MANY}
    for most in sorted(steps):
        following = await sources.ids(tx, _Span(last, down), most)
        chosen = _among(tx, right, sorted(following, reverse=down)[:most])
        found = await keyset_page(tx, chosen, col(Contact.id), page, newest_first=newest_first, total=total)
        # None: perhaps only not among these.
        beyond = found.next if down is newest_first else found.previous
        if len(following) <= most or beyond is not None:
            return found
    return None


async def _sorted(
    tx: ReadTx,
    right: sa.Select[Contact],
    sources: Sources,
    page: PageRequest,
    *,
    key: Any,
    newest_first: bool,
    total: int,
) -> Page[Contact] | None:
    """The page by another key, from all candidates; None when they are too many for that."""
    candidates = await sources.ids(tx, _Span(), MANY)
    if len(candidates) > MANY:
        return None
    chosen = _among(tx, right, candidates)
    return await keyset_page(
        tx, chosen, key, page, newest_first=newest_first, total=total, by=unindexed(tx, key)
    )


def _ids_of(query: sa.Select[Contact]) -> sa.Select[Any]:
    return query.with_only_columns(col(Contact.id))


def _indexed(tx: ReadTx, scope: Scope, wanted: Sequence[Sequence[str]]) -> _Source:
    """SQLite reads the list of every group, a millisecond for 100,000."""
    if tx.postgres:
        return _Grams(scope, wanted)
    return _Source(*(_matching(scope, groups) for groups in _ways(wanted)))


def _ways(wanted: Sequence[Sequence[str]]) -> list[Sequence[Sequence[str]]]:
    """What to ask for, after something quicker that names more, where there is that."""
    quicker = [telling(groups) for groups in wanted]
    return [quicker, wanted] if quicker != wanted else [wanted]


def _matching(scope: Scope, wanted: Sequence[Sequence[str]]) -> _Query:
    mark = mark_of(scope.tenant_id)
    words = " OR ".join(f"({_fts([mark, *groups])})" for groups in wanted)
    matches = sa.literal_column("contact_search").op("MATCH")(words)
    return sa.select(FTS.c.rowid).where(matches), FTS.c.rowid


def _fts(groups: Iterable[str]) -> str:
    """FTS5's query for documents with all of these: in quotes nothing has a meaning but the quote."""
    return " AND ".join('"' + group.replace('"', '""') + '"' for group in groups)


def _has_all(scope: Scope, grams: Any, groups: Iterable[str]) -> sa.ColumnElement[bool]:
    numbers = [number_of(scope.tenant_id, group) for group in groups]
    return sa.type_coerce(grams, ARRAY(sa.Integer)).contains(sa.literal(numbers, ARRAY(sa.Integer)))


def _among(tx: ReadTx, query: sa.Select[Contact], ids: Iterable[int]) -> sa.Select[Contact]:
    """Those of `query` that are among the ids, which go as one parameter."""
    if tx.postgres:
        return query.where(col(Contact.id) == sa.any_(sa.literal(list(ids), ARRAY(sa.BigInteger))))
    given = sa.func.json_each(sa.literal(list(ids), sa.JSON)).table_valued("value")
    return query.where(col(Contact.id).in_(sa.select(given.c.value)))


async def search_page(
    tx: ReadTx,
    scope: Scope,
    query: sa.Select[Contact],
    match: Match,
    page: PageRequest,
    *,
    key: Any,
    newest_first: bool = False,
) -> Page[Contact]:
    """The page of those of `query` whom the text describes."""
    sources = sources_of(tx, scope, match)
    right = query.where(match.condition(few=sources is not None))
    walk = query.where(match.condition(by_index=False))
    return await page_among(tx, right, sources, page, key=key, walk=walk, newest_first=newest_first)
