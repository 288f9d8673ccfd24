"""A tag is deleted: it is taken off everybody; whoever uses it keeps it."""

from pathlib import Path

import pytest

from mailengine.core.errors import Forbidden, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.domain.campaigns import control, tag_removal
from mailengine.domain.campaigns.uses import uses
from mailengine.domain.contacts import bulk, contacts, tags
from mailengine.domain.contacts.browsing import Filter
from mailengine.domain.contacts.bulk import Act, BulkRequest
from mailengine.domain.contacts.exports import run as exports
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.domain.contacts.imports.run import ImportRequest
from mailengine.domain.contacts.imports.upload_jobs import queue_upload
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.jobs import jobs
from mailengine.models import Tag
from support.world import NOON, World

pytestmark = pytest.mark.anyio


async def a_tag(world: World, name: str = "VIP") -> Tag:
    """On one contact."""
    async with world.db.write(world.scope) as tx:
        person = await contacts.get_contact(tx, world.scope, address="u1@example.org")
        await tags.tag_contacts(tx, world.scope, tag=name, contact_ids=[person.id or 0], now=NOON)
        return await tags.get_tag(tx, world.scope, name=name)


async def delete(world: World, tag: Tag, scope: Scope | None = None) -> Tag:
    who = scope or world.scope
    async with world.db.write(who) as tx:
        return await tag_removal.delete_tag(tx, who, tag_id=tag.id or 0, now=NOON)


async def used_by(world: World, tag: Tag) -> list[str]:
    async with world.db.read(world.scope) as tx:
        return await uses(tx, world.scope, tag)


async def segment(world: World, name: str, rule: str) -> int:
    async with world.db.write(world.scope) as tx:
        return (await saved.add(tx, world.scope, name=name, rule=parse(rule), now=NOON)).id or 0


async def test_it_is_taken_off_everybody(world: World, stranger: Scope) -> None:
    tag = await a_tag(world)
    viewer = Scope(world.scope.tenant_id, "user:1", frozenset({Grant.READ}))
    for who, error in ((stranger, NotFound), (viewer, Forbidden)):
        with pytest.raises(error):
            await delete(world, tag, who)
    assert (await delete(world, tag)).name == "VIP"
    async with world.db.read(world.scope) as tx:
        person = await contacts.get_contact(tx, world.scope, address="u1@example.org")
        assert await tags.tags_of(tx, world.scope, [person.id or 0]) == {}
    with pytest.raises(NotFound):
        await delete(world, tag)


async def test_whoever_uses_it_keeps_it(world: World, stranger: Scope) -> None:
    tag, _other = await a_tag(world), await a_tag(world, "other")
    asking = await segment(world, "Big", "domain = example.org and tag in (other, vip)")
    for name, rule in (
        ("Other", "tag = other"),
        ("Named so", "first_name = vip"),
        ("No tag", "tag is empty"),
    ):
        await segment(world, name, rule)
    for name in ("Draft", "Cancelled", "Under way"):
        campaign_id = await world.draft(name=name, segments=["Big"])
        if name != "Draft":
            await world.launch(campaign_id, expand=False)
        if name == "Cancelled":
            async with world.db.write(world.scope) as tx:
                await control.cancel(tx, world.scope, campaign_id=campaign_id, now=NOON)
    async with world.db.write(world.scope) as tx:
        who = world.scope
        asked = [
            ImportRequest(Path("people.csv"), "Customers", tags=given)
            for given in (("fair", "Vip"), ("fair",))
        ]
        up, _up = [await queue_upload(tx, who, each, name="people.csv", now=NOON) for each in asked]
        wants = [
            BulkRequest(Act.TAG, "vip", chosen=Filter()),
            BulkRequest(Act.UNTAG, "VIP", rule=parse("everyone")),
            BulkRequest(Act.DELETE, chosen=Filter(tag_id=tag.id)),
            BulkRequest(Act.TAG, "other", rule=parse("not tag = vip")),
            BulkRequest(Act.TAG, "other", rule=parse("tag = other")),
        ]
        acts = [await bulk.request_bulk(tx, who, each, now=NOON) for each in wants]
        out = await exports.queue(tx, who, Choice(tag="vip"), Format.CSV, clock=world.clock)
    at_it = [up, *acts[:-1], out]
    assert await used_by(world, tag) == [
        "the campaign Under way", "the segment Big", *[f"job {job.id} ({job.kind})" for job in at_it],
    ]  # fmt: skip
    async with world.db.read(stranger) as tx:
        assert await uses(tx, stranger, tag) == []
    with pytest.raises(
        Refused, match=r"^VIP is used by the campaign Under way, the segment Big, .* and 3 more"
    ):
        await delete(world, tag)
    for job in at_it:
        async with world.db.write(world.scope) as tx:
            await jobs.cancel(tx, world.scope, job_id=JobId(job.id or 0), now=NOON)
    async with world.db.write(world.scope) as tx:
        await saved.update(tx, world.scope, segment_id=asking, rule=parse("tag = other"), now=NOON)
    with pytest.raises(
        Refused, match="VIP is used by the campaign Under way; take it out there or let that end first"
    ):
        await delete(world, tag)
    async with world.db.write(world.scope) as tx:
        await control.cancel(tx, world.scope, campaign_id=campaign_id, now=NOON)
    await delete(world, tag)
