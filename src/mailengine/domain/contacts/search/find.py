"""Pages of the contacts that a text describes.

The index, the queue of what is not in it yet and the tags name candidates; a condition on the contact itself
decides (`match`). While candidates are few, they are all looked at: the number is exact and any order will do.
When they are many, the page comes from those that follow its cursor, which are in the order of ids, too; and
where that is not the order, or too few of them are right, from the contacts themselves in their order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import keyset_page, place_of
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.search.grams import mark_of, number_of
from mailengine.domain.contacts.search.index import FTS, GRAMS, QUEUE
from mailengine.domain.contacts.search.match import Match
from mailengine.models import Contact, ContactTag

FEW = 5_000  # candidates that are all looked at: some twenty milliseconds


@dataclass(frozen=True, slots=True)
class _Span:
    """Ids on one side of a page's cursor, in the direction of reading."""

    last: int | None = None
    down: bool = False

    def of(self, query: sa.Select[Any], column: Any) -> sa.Select[Any]:
        if self.last is not None:
            query = query.where(column < self.last if self.down else column > self.last)
        return query.order_by(column.desc() if self.down else column.asc())


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
    """A page of `query`, a select of the tenant's contacts, by `key` (its id or address key), of those that
    match. Of more than FEW candidates only so many are counted."""
    right = query.where(match.condition())
    candidates = await _candidates(tx, scope, match, _Span())
    if candidates is not None and len(candidates) <= FEW:
        return await keyset_page(tx, _among(tx, right, candidates), key, page, newest_first=newest_first)
    if candidates is None:
        counted = await _count(tx, right.limit(FEW + 1))
        found = await keyset_page(tx, right, key, page, newest_first=newest_first, total=min(counted, FEW))
        return replace(found, exact=counted <= FEW)
    total = await _count(tx, _among(tx, right, sorted(candidates)[:FEW]))
    down, last = place_of(page.cursor, key, newest_first=newest_first)
    if key is col(Contact.id):
        following = await _candidates(tx, scope, match, _Span(last, down)) or set()
        near = _among(tx, right, sorted(following, reverse=down)[:FEW])
        found = await keyset_page(tx, near, key, page, newest_first=newest_first, total=total)
        beyond = found.next if down is newest_first else found.previous  # None: perhaps only not among these
        if len(following) <= FEW or beyond is not None:
            return replace(found, exact=False)
    found = await keyset_page(tx, right, key, page, newest_first=newest_first, total=total)
    return replace(found, exact=False)


async def _count(tx: ReadTx, query: sa.Select[Contact]) -> int:
    counted = sa.select(sa.func.count()).select_from(query.with_only_columns(col(Contact.id)).subquery())
    return await tx.scalar(counted) or 0


async def _candidates(tx: ReadTx, scope: Scope, match: Match, span: _Span) -> set[int] | None:
    """Up to one more than FEW from each source; None when the text is too short for the index."""
    indexed = _indexed(tx, scope, match, span)
    if indexed is None:
        return None
    queued = span.of(
        sa.select(QUEUE.c.contact_id).where(QUEUE.c.tenant_id == scope.tenant_id), QUEUE.c.contact_id
    )
    sources = [indexed, queued]
    if match.tag_ids:
        links = table_of(ContactTag).c
        tagged = sa.select(links.contact_id).where(
            links.tenant_id == scope.tenant_id, links.tag_id.in_(match.tag_ids)
        )
        sources.append(span.of(tagged, links.contact_id))
    found: set[int] = set()
    for source in sources:
        found.update((await tx.scalars(source.limit(FEW + 1))).all())
    return found


def _indexed(tx: ReadTx, scope: Scope, match: Match, span: _Span) -> sa.Select[Any] | None:
    if not match.wanted:
        return None
    if tx.postgres:
        ways = [_has_all(scope, groups) for groups in match.wanted]
        return span.of(sa.select(GRAMS.c.contact_id).where(sa.or_(*ways)), GRAMS.c.contact_id)
    mark = mark_of(scope.tenant_id)
    words = " OR ".join(f"({_fts([mark, *groups])})" for groups in match.wanted)
    return span.of(
        sa.select(FTS.c.rowid).where(sa.literal_column("contact_search").op("MATCH")(words)), FTS.c.rowid
    )


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
