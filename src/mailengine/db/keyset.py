"""A page of any query that is sorted by one unique column."""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

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
) -> Page[Row]:
    """Rows of `query` by `key`, a unique column of the model that it selects."""
    total = await tx.scalar(sa.select(sa.func.count()).select_from(query.subquery()))
    page = query.order_by(key.desc() if newest_first else key.asc()).limit(request.limit + 1)
    if request.cursor is not None:
        (last,) = decode_cursor(request.cursor, length=1)
        page = page.where(key < last if newest_first else key > last)
    rows = list((await tx.scalars(page)).all())
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    name = key.key
    return Page(rows, total or 0, encode_cursor([getattr(rows[-1], name)]) if more else None)
