"""Pages of the contacts that a text describes.

The index, the queue of what is not in it yet and the tags name candidates (`Sources`); a condition on
the contact itself decides. While candidates are few, they are all looked at: the number is exact and any order will
do. When they are many, the page comes from those that follow its cursor, which are in the order of ids, too; and
where that is not the order, or too few of them are right, from the contacts themselves in their order.
"""

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


_Query = tuple[sa.Select[Any], Any]  # with its column of ids


class Sources:
    """Queries for the ids of candidates, of which nobody right is missing. A query may have quicker ones before it,
    which name more: the first that names few is enough."""

    def __init__(self, *queries: Sequence[_Query]) -> None:
        self._queries = queries

    async def ids(self, tx: ReadTx, span: _Span, most: int) -> set[int]:
        """The first of them in the span's direction, up to one more than `most` of each query."""
        found: set[int] = set()
        for ways in self._queries:
            named: Sequence[int] = ()
            for query, column in ways:
                named = (await tx.scalars(span.of(query, column).limit(most + 1))).all()
                if len(named) <= most:
                    break
            found.update(named)
        return found


def sources_of(tx: ReadTx, scope: Scope, match: Match) -> Sources | None:
    """Where a text's candidates come from; None when it is too short for the index."""
    if not match.wanted:
        return None
    queued = sa.select(QUEUE.c.contact_id).where(QUEUE.c.tenant_id == scope.tenant_id)
    queries: list[Sequence[_Query]] = [_indexed(tx, scope, match.wanted), [(queued, QUEUE.c.contact_id)]]
    if match.tag_ids:
        queries.append([carriers(scope, match.tag_ids)])
    return Sources(*queries)


async def page_among(
    tx: ReadTx,
    right: sa.Select[Contact],
    sources: Sources | None,
    page: PageRequest,
    *,
    key: Any,
    walk: sa.Select[Contact] | None = None,
    newest_first: bool = False,
    count: bool = True,
) -> Page[Contact]:
    """A page of `right`, a select of the tenant's contacts, by `key` (their id or address key). Of more than FEW
    only so many are counted, and none without `count`. `walk`: the same in a form for reading many in their order."""
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
    if sources is not None and count:
        total = await count_rows(tx, _among(tx, right, near))
    down, last = place_of(page.cursor, key, newest_first=newest_first)
    if sources is not None and key is col(Contact.id):
        for most in sorted({min(_HARDLY_WRONG * page.limit, FEW), FEW}):
            following = await sources.ids(tx, _Span(last, down), most)
            chosen = _among(tx, right, sorted(following, reverse=down)[:most])
            found = await keyset_page(tx, chosen, key, page, newest_first=newest_first, total=total)
            # None: perhaps only not among these.
            beyond = found.next if down is newest_first else found.previous
            if len(following) <= most or beyond is not None:
                return replace(found, exact=False)
    many = right if walk is None else walk
    found = await keyset_page(tx, many, key, page, newest_first=newest_first, total=total)
    return replace(found, exact=False)


def _ids_of(query: sa.Select[Contact]) -> sa.Select[Any]:
    return query.with_only_columns(col(Contact.id))


def _indexed(tx: ReadTx, scope: Scope, wanted: Sequence[Sequence[str]]) -> list[_Query]:
    """PostgreSQL looks at what is rare first; SQLite reads the list of every group, a millisecond for 100,000."""
    if tx.postgres:
        ways = [_has_all(scope, groups) for groups in wanted]
        return [(sa.select(GRAMS.c.contact_id).where(sa.or_(*ways)), GRAMS.c.contact_id)]
    quicker = [telling(groups) for groups in wanted]
    return [_matching(scope, groups) for groups in ([quicker, wanted] if quicker != wanted else [wanted])]


def _matching(scope: Scope, wanted: Sequence[Sequence[str]]) -> _Query:
    mark = mark_of(scope.tenant_id)
    words = " OR ".join(f"({_fts([mark, *groups])})" for groups in wanted)
    matches = sa.literal_column("contact_search").op("MATCH")(words)
    return sa.select(FTS.c.rowid).where(matches), FTS.c.rowid


def _fts(groups: Iterable[str]) -> str:
    """FTS5's query for documents with all of these: in quotes nothing has a meaning but the quote."""
    return " AND ".join('"' + group.replace('"', '""') + '"' for group in groups)


def _has_all(scope: Scope, groups: Iterable[str]) -> sa.ColumnElement[bool]:
    numbers = [number_of(scope.tenant_id, group) for group in groups]
    return GRAMS.c.grams.contains(sa.literal(numbers, ARRAY(sa.Integer)))


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
    count: bool = True,
) -> Page[Contact]:
    """The page of those of `query` whom the text describes; without `count` it says of many only that there are more
    than are on it."""
    right, walk = (query.where(match.condition(by_index=by_index)) for by_index in (True, False))
    sources = sources_of(tx, scope, match)
    return await page_among(
        tx, right, sources, page, key=key, walk=walk, newest_first=newest_first, count=count
    )
