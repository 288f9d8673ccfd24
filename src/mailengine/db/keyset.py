"""A page of any query that is sorted by one unique column."""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import Page, PageRequest, decode_cursor, encode_cursor
from mailengine.db.unit import ReadTx

Row = TypeVar("Row", bound=SQLModel)


async def keyset_page(
    tx: ReadTx,
    query: sa.Select[Row],
    key: Any,
    request: PageRequest,
    *,
    newest_first: bool = False,
    total: int | None = None,
    by: Any = None,
) -> Page[Row]:
    """Rows of `query` by `key`, a unique column of the model that it selects; counted, where that is asked for,
    unless `total` is known or they fit on one page. `by` is an expression that orders as the key does, where another
    index is to be used."""
    by = key if by is None else by
    backwards, last = _place(request.cursor, key)
    descending = newest_first is not backwards
    page = query.order_by(by.desc() if descending else by.asc()).limit(request.limit + 1)
    if last is not None:
        page = page.where(by < last if descending else by > last)
    rows = list((await tx.scalars(page)).all())
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    exact = True
    if total is None:
        whole = request.cursor is None and not more
        exact = whole or request.count
        total = len(rows) if whole or not request.count else await count_rows(tx, query)
    if backwards:
        rows.reverse()
    if not rows:
        return Page(rows, total, None, exact=exact)
    first, end = (encode_cursor([getattr(row, key.key)]) for row in (rows[0], rows[-1]))
    comes_before = more if backwards else request.cursor is not None
    return Page(
        rows,
        total,
        end if more or backwards else None,
        _BACKWARDS + first if comes_before else None,
        exact,
    )


async def count_rows(tx: ReadTx, query: sa.Select[Any]) -> int:
    return await tx.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def place_of(cursor: str | None, key: Any, *, newest_first: bool) -> tuple[bool, Any]:
    """Whether the page is read downwards, and the key from which; None for the first page."""
    backwards, last = _place(cursor, key)
    return newest_first is not backwards, last


_BACKWARDS = "~"  # before a cursor: the page that ends in front of its key; not in the alphabet of cursors


def _place(cursor: str | None, key: Any) -> tuple[bool, object]:
    """Which way a cursor leads and from which key; (False, None) is the first page."""
    if cursor is None:
        return False, None
    return cursor.startswith(_BACKWARDS), _last_key(cursor.removeprefix(_BACKWARDS), key)


def _last_key(cursor: str, key: Any) -> object:
    """The key in a cursor; raises InvalidInput for one of another type, which a made-up cursor may hold and
    which one database or the other would fail on."""
    (last,) = decode_cursor(cursor, length=1)
    kind = key.type.impl if isinstance(key.type, sa.types.TypeDecorator) else key.type  # SQLModel's strings
    fits = type(last) is kind.python_type
    if isinstance(last, int):
        fits = fits and abs(last) < 2**63
    if isinstance(last, str):
        fits = fits and "\x00" not in last
    if not fits:
        raise InvalidInput("this page cursor belongs to another list; start again from the first page")
    return last
