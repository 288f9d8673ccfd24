"""Lists over the API."""

from datetime import datetime

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from mailengine.core.scope import Scope
from mailengine.domain.contacts import lists
from mailengine.models import ContactList
from mailengine.web.api.shapes import READ, WRITE, Cursor, Given, Limit, Name, PageOf, page_request
from mailengine.web.site import Site


class ListShape(msgspec.Struct):
    """`members` counts by state; contacts that were deleted are left out."""

    id: int
    name: str
    members: dict[str, int]
    created_at: datetime


class NewList(Given):
    name: Name


class Lists(Controller):
    """Named groups of contacts."""

    path = "/lists"
    tags = ("lists",)

    @get(**READ, summary="List the lists")
    async def list_lists(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> PageOf[ListShape]:
        """By id."""
        async with site.rt.db.read(caller) as tx:
            page = await lists.list_lists(tx, caller, page=page_request(limit, cursor))
            ids = [row.id for row in page.items if row.id is not None]
            counts = await lists.member_counts(tx, caller, list_ids=ids)
        return PageOf([shape(row, counts) for row in page.items], page.total, page.next)

    @post(**WRITE, summary="Add a list")
    async def create_list(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewList]
    ) -> ListShape:
        async with site.rt.db.write(caller) as tx:
            return shape(await lists.create_list(tx, caller, name=data.name, now=site.rt.clock.now()), {})


def shape(row: ContactList, counts: dict[int, dict[str, int]]) -> ListShape:
    assert row.id is not None
    return ListShape(row.id, row.name, counts.get(row.id, {}), row.created_at)
