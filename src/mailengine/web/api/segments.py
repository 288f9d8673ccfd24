"""Segments over the API."""

import random
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import audience, lists
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.lexing import MAX_CHARS
from mailengine.domain.contacts.segments.parse import Parsed, parse
from mailengine.domain.contacts.segments.rules import Rule, from_json
from mailengine.domain.contacts.segments.show import show
from mailengine.models import Segment
from mailengine.web.api.contacts import ContactShape, contact_page, contact_shapes
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Name,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site

RuleText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHARS, pattern=NO_NUL)]
Names = Annotated[list[Name], msgspec.Meta(max_length=100)]
Few = Annotated[int, QueryParameter(ge=1, le=100, description="how many")]


class SegmentShape(msgspec.Struct):
    """A saved segment: its rule as JSON and as the same in text."""

    id: int
    name: str
    text: str
    rule: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class NewSegment(Given):
    """`text` like `tag = vip and not opened within 90 days`, or `rule` as JSON (docs/segments.md)."""

    name: Name
    text: RuleText | None = None
    rule: dict[str, Any] | None = None


class SegmentChange(Given):
    """What is left out stays."""

    name: Name | None = None
    text: RuleText | None = None
    rule: dict[str, Any] | None = None


class Question(Given):
    """Rules that need not be saved; lists, excluded lists and segments by name, as a campaign would have them."""

    text: RuleText | None = None
    rule: dict[str, Any] | None = None
    lists: Names = msgspec.field(default_factory=list)
    exclude_lists: Names = msgspec.field(default_factory=list)
    exclude_segments: Names = msgspec.field(default_factory=list)


class Answer(msgspec.Struct):
    """`count` matches now; `reachable` of the `people` looked at would get a campaign, `left_out` says by reason
    who would not; `duplicates` are memberships beyond a person's first."""

    text: str
    count: int
    people: int
    reachable: int
    left_out: dict[str, int]
    duplicates: int
    sample: list[ContactShape]


class Segments(Controller):
    """Rules that describe contacts."""

    path = "/segments"
    tags = ("segments",)

    @get(**READ, summary="List the segments")
    async def list_segments(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        used: FromQuery[bool | None] = None,
    ) -> PageOf[SegmentShape]:
        """By id; `search` looks into names, `used` is whether a draft is for it."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await saved.list_segments(tx, caller, page=page, text=search or "", used=used)
        return page_of(found, shape)

    @post(**WRITE, summary="Save a segment")
    async def create_segment(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewSegment]
    ) -> SegmentShape:
        rule = _required(data.text, data.rule)
        async with site.rt.db.write(caller) as tx:
            return shape(await saved.add(tx, caller, name=data.name, rule=rule, now=site.rt.clock.now()))

    @get("/{segment_id:int}", **READ_ONE, summary="Get a segment")
    async def get_segment(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], segment_id: Id
    ) -> SegmentShape:
        async with site.rt.db.read(caller) as tx:
            return shape(await saved.get_by_id(tx, caller, segment_id=segment_id))

    @patch("/{segment_id:int}", **WRITE, summary="Change a segment")
    async def change_segment(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        segment_id: Id,
        data: JSONBody[SegmentChange],
    ) -> SegmentShape:
        """Campaigns under way keep the rule that they were sent with."""
        rule = _required(data.text, data.rule) if data.text is not None or data.rule is not None else None
        async with site.rt.db.write(caller) as tx:
            return shape(
                await saved.update(
                    tx, caller, segment_id=segment_id, name=data.name, rule=rule, now=site.rt.clock.now()
                )
            )

    @delete("/{segment_id:int}", **WRITE, summary="Delete a segment")
    async def delete_segment(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], segment_id: Id
    ) -> None:
        """Its contacts stay."""
        async with site.rt.db.write(caller) as tx:
            await saved.delete(tx, caller, segment_id=segment_id, now=site.rt.clock.now())

    @get("/{segment_id:int}/contacts", **READ_ONE, summary="List whom a segment describes")
    async def list_contacts(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        segment_id: Id,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> PageOf[ContactShape]:
        """By id, as it is now."""
        async with site.rt.db.read(caller) as tx:
            rule = saved.rule_of(await saved.get_by_id(tx, caller, segment_id=segment_id))
            page = await find.page_of(
                tx, caller, rule, page=page_request(limit, cursor), now=site.rt.clock.now()
            )
            return await contact_page(tx, caller, page)

    @get("/{segment_id:int}/count", **READ_ONE, summary="Count whom a segment describes, with a sample")
    async def count_segment(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], segment_id: Id, sample: Few = 10
    ) -> Answer:
        async with site.rt.db.read(caller) as tx:
            rule = saved.rule_of(await saved.get_by_id(tx, caller, segment_id=segment_id))
            return await _answer(tx, caller, rule, audience.Choice(segments=(rule,)), sample, site)

    @post("/count", status_code=200, **WRITE, summary="Count whom rules describe, with a sample")
    async def count_rules(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        data: JSONBody[Question],
        sample: Few = 10,
    ) -> Answer:
        """Nothing is saved: for a builder that shows the count while somebody edits."""
        async with site.rt.db.read(caller) as tx:
            rule = await find.checked(tx, caller, _required(data.text, data.rule))
            without = [await saved.get(tx, caller, name=name) for name in data.exclude_segments]
            choice = audience.Choice(
                list_ids=await lists.ids_of(tx, caller, data.lists),
                segments=(rule,),
                without_lists=await lists.ids_of(tx, caller, data.exclude_lists),
                without_segments=tuple(saved.rule_of(each) for each in without),
            )
            return await _answer(tx, caller, rule, choice, sample, site)


async def _answer(
    tx: ReadTx, scope: Scope, rule: Rule, choice: audience.Choice, sample: int, site: Site
) -> Answer:
    now = site.rt.clock.now()
    told = await audience.explain(tx, scope, await audience.choose(tx, scope, choice, now=now))
    some = await find.sample(tx, scope, rule, limit=sample, now=now, chance=random.SystemRandom())
    return Answer(
        show(rule),
        await find.count(tx, scope, rule, now=now),
        told.people,
        told.reachable,
        told.left_out,
        told.duplicates,
        await contact_shapes(tx, scope, some),
    )


def _required(text: str | None, rule: dict[str, Any] | None) -> Parsed | Rule:
    if (text is None) == (rule is None):
        raise InvalidInput("give `text` or `rule`, and not both")
    return parse(text) if text is not None else from_json(rule)


def shape(row: Segment) -> SegmentShape:
    assert row.id is not None
    text = show(saved.rule_of(row))
    return SegmentShape(row.id, row.name, text, row.rule, row.created_at, row.updated_at)
