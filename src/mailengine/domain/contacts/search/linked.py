"""Pages of the contacts that are on a list, or that carry a tag.

What links to the contacts is in the order of their ids. While it is little, all of it is looked at, the number is
exact and any order will do. When it is much, the page comes from the links in their order, and where that is not the
order, from the contacts themselves in theirs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import Contact, ContactTag, ListMember

FEW = 1_000  # candidates that are all looked at: some milliseconds
Links = tuple[sa.Select[Any], Any]  # a query for ids of contacts, and its column of them


def carriers(scope: Scope, tag_ids: Sequence[int]) -> Links:
    links = table_of(ContactTag).c
    query = sa.select(links.contact_id).where(links.tenant_id == scope.tenant_id, links.tag_id.in_(tag_ids))
    return query, links.contact_id


def members(scope: Scope, list_id: int) -> Links:
    table = table_of(ListMember).c
    query = sa.select(table.contact_id).where(table.tenant_id == scope.tenant_id, table.list_id == list_id)
    return query, table.contact_id


async def linked_page(
    tx: ReadTx,
    right: sa.Select[Contact],
    links: Links,
    page: PageRequest,
    *,
    key: Any,
    walk: sa.Select[Contact],
    newest_first: bool = False,
) -> Page[Contact]:
    """A page of those of `right` whom a tag or a list names, each once, by `key` (their id or address key). Of more
    than FEW only so many are counted. `walk` are the same, as contacts are read in the order of their addresses."""
    (query, column), are_right = links, right.whereclause
    assert are_right is not None, "the tenant's, at least"
    first = query.order_by(column).limit(FEW + 1).subquery()
    named = first.outerjoin(Contact, sa.and_(first.c.contact_id == col(Contact.id), are_right))
    counted = sa.select(sa.func.count(), sa.func.count(col(Contact.id))).select_from(named)
    seen, total = (await tx.execute(counted)).one()
    all_links = query.subquery()
    joined = right.join(all_links, all_links.c.contact_id == col(Contact.id))
    if key is col(Contact.id):
        chosen, by = joined, all_links.c.contact_id  # which the links are in the order of
    elif seen > FEW:
        chosen, by = walk, key
    else:
        chosen, by = joined, unindexed(tx, key)
    found = await keyset_page(tx, chosen, key, page, newest_first=newest_first, total=min(total, FEW), by=by)
    return replace(found, exact=seen <= FEW)


def unindexed(tx: ReadTx, key: Any) -> Any:
    """The key to order few rows by: SQLite would read all contacts by its index."""
    return key if tx.postgres else key.concat("")
