"""Lists over the API."""

from datetime import datetime

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from mailengine.core.scope import Scope
from mailengine.domain.campaigns import list_removal
from mailengine.domain.contacts import lists
from mailengine.models import ContactList
from mailengine.web.api.shapes import (
    READ,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    Search,
    page_request,
)
from mailengine.web.site import Site


class ListShape(msgspec.Struct):
    """`members` counts by state; contacts that were deleted are left out."""

    id: int
    name: str
    members: dict[str, int]
    description: str
    double_opt_in: bool
    public: bool
    created_at: datetime


class NewList(Given):
    """`double_opt_in`: who signs up confirms by a link; `public`: everybody may join it in the preference centre."""

    name: Name
    description: Line = ""
    double_opt_in: bool = False
    public: bool = False


class ListChange(Given):
    """What is left out stays."""

    name: Name | None = None
    description: Line | None = None
    double_opt_in: bool | None = None
    public: bool | None = None


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
        search: Search = None,
        double_opt_in: FromQuery[bool | None] = None,
        public: FromQuery[bool | None] = None,
    ) -> PageOf[ListShape]:
        """By id; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = await lists.list_lists(
                tx,
                caller,
                page=page_request(limit, cursor),
                text=search or "",
                double_opt_in=double_opt_in,
                public=public,
            )
            ids = [row.id for row in page.items if row.id is not None]
            counts = await lists.member_counts(tx, caller, list_ids=ids)
        return PageOf([shape(row, counts) for row in page.items], page.total, page.next)

    @post(**WRITE, summary="Add a list")
    async def create_list(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewList]
    ) -> ListShape:
        async with site.rt.db.write(caller) as tx:
            given = msgspec.structs.asdict(data)
            return shape(await lists.create_list(tx, caller, now=site.rt.clock.now(), **given), {})

    @patch("/{list_id:int}", **WRITE, summary="Change a list")
    async def change_list(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        list_id: Id,
        data: JSONBody[ListChange],
    ) -> ListShape:
        async with site.rt.db.write(caller) as tx:
            given = msgspec.structs.asdict(data)
            now = site.rt.clock.now()
            found = await lists.update_list(tx, caller, list_id=list_id, now=now, **given)
            return shape(found, await lists.member_counts(tx, caller, list_ids=[list_id]))

    @delete("/{list_id:int}", **WRITE, summary="Delete a list")
    async def delete_list(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], list_id: Id
    ) -> None:
        """Whoever is on it is taken off; the contacts stay. Refused while a campaign that has not ended (or has
        messages in doubt), a segment, a form or a job uses it."""
        async with site.rt.db.write(caller) as tx:
            await list_removal.delete_list(tx, caller, list_id=list_id, now=site.rt.clock.now())


def shape(row: ContactList, counts: dict[int, dict[str, int]]) -> ListShape:
    assert row.id is not None
    return ListShape(
        row.id,
        row.name,
        counts.get(row.id, {}),
        row.description,
        row.double_opt_in,
        row.public,
        row.created_at,
    )
