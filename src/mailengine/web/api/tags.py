"""Tags over the API."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from mailengine.core.scope import Scope
from mailengine.domain.campaigns import tag_removal
from mailengine.domain.contacts import tag_changes, tags
from mailengine.models import Tag
from mailengine.web.api.shapes import (
    MAX_ID,
    NO_NUL,
    READ,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    PageOf,
    Search,
    page_request,
)
from mailengine.web.site import Site

TagName = Annotated[str, msgspec.Meta(min_length=1, max_length=tags.MAX_NAME, pattern=NO_NUL)]
ContactIds = Annotated[
    list[Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]], msgspec.Meta(min_length=1, max_length=10_000)
]


class TagShape(msgspec.Struct):
    """`contacts` counts those that carry it and were not deleted."""

    id: int
    name: str
    contacts: int
    created_at: datetime


class NewTag(Given):
    name: TagName


class MergedInto(Given):
    """`into` is the name of the tag that stays."""

    into: TagName


class Tagged(Given):
    """Contacts by id; those of another tenant, and deleted ones, are left out."""

    contact_ids: ContactIds


class Changed(msgspec.Struct):
    """On how many contacts something changed."""

    changed: int


class Tags(Controller):
    """Short labels on contacts; they are alike when they differ only in case."""

    path = "/tags"
    tags = ("tags",)

    @get(**READ, summary="List the tags")
    async def list_tags(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        used: FromQuery[bool | None] = None,
    ) -> PageOf[TagShape]:
        """By name; `search` looks into names, `used` is whether a contact has it."""
        async with site.rt.db.read(caller) as tx:
            page = await tags.list_tags(
                tx, caller, page=page_request(limit, cursor), text=search or "", carried=used
            )
            ids = [row.id for row in page.items if row.id is not None]
            counts = await tags.counts(tx, caller, tag_ids=ids)
        return PageOf([shape(row, counts.get(row.id or 0, 0)) for row in page.items], page.total, page.next)

    @post(**WRITE, summary="Add a tag")
    async def create_tag(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewTag]
    ) -> TagShape:
        async with site.rt.db.write(caller) as tx:
            return shape(await tags.create_tag(tx, caller, name=data.name, now=site.rt.clock.now()), 0)

    @patch("/{tag_id:int}", **WRITE, summary="Rename a tag")
    async def rename_tag(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        tag_id: Id,
        data: JSONBody[NewTag],
    ) -> TagShape:
        """In saved segments too."""
        async with site.rt.db.write(caller) as tx:
            tag = await tag_changes.rename(tx, caller, tag_id=tag_id, name=data.name, now=site.rt.clock.now())
            return shape(tag, (await tags.counts(tx, caller, tag_ids=[tag_id]))[tag_id])

    @post("/{tag_id:int}/merge", status_code=200, **WRITE, summary="Merge a tag into another")
    async def merge_tag(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        tag_id: Id,
        data: JSONBody[MergedInto],
    ) -> TagShape:
        """Whoever carries it carries the other one, and it goes; in saved segments too."""
        async with site.rt.db.write(caller) as tx:
            tag = await tag_changes.merge(tx, caller, tag_id=tag_id, into=data.into, now=site.rt.clock.now())
            return shape(tag, (await tags.counts(tx, caller, tag_ids=[tag.id or 0]))[tag.id or 0])

    @delete("/{tag_id:int}", **WRITE, summary="Delete a tag")
    async def delete_tag(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], tag_id: Id
    ) -> None:
        """It is taken off everybody. Refused while a campaign that has not ended, a segment or a job uses it."""
        async with site.rt.db.write(caller) as tx:
            await tag_removal.delete_tag(tx, caller, tag_id=tag_id, now=site.rt.clock.now())

    @post("/{tag_id:int}/contacts", status_code=200, **WRITE, summary="Put a tag on contacts")
    async def tag_contacts(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        tag_id: Id,
        data: JSONBody[Tagged],
    ) -> Changed:
        async with site.rt.db.write(caller) as tx:
            tag = await tags.get_by_id(tx, caller, tag_id=tag_id)
            return Changed(
                await tags.tag_contacts(
                    tx, caller, tag=tag.name, contact_ids=data.contact_ids, now=site.rt.clock.now()
                )
            )

    @post("/{tag_id:int}/contacts/remove", status_code=200, **WRITE, summary="Take a tag off contacts")
    async def untag_contacts(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        tag_id: Id,
        data: JSONBody[Tagged],
    ) -> Changed:
        async with site.rt.db.write(caller) as tx:
            tag = await tags.get_by_id(tx, caller, tag_id=tag_id)
            return Changed(
                await tags.untag_contacts(
                    tx, caller, tag=tag.name, contact_ids=data.contact_ids, now=site.rt.clock.now()
                )
            )


def shape(row: Tag, contacts: int) -> TagShape:
    assert row.id is not None
    return TagShape(row.id, row.name, contacts, row.created_at)
