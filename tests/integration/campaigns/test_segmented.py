"""Campaigns to segments: who gets them, who is left out and why, and what is fixed at the launch."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound, Refused
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.domain.campaigns import campaigns, trash
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.campaigns.launch import check
from mailengine.domain.contacts import tag_changes, tags
from mailengine.domain.contacts.lists import create_list
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.models import Contact, ListMember
from support.tags import lose_tag
from support.world import NOON, World

pytestmark = pytest.mark.anyio


async def ids_of(world: World) -> dict[str, int]:
    contacts = table_of(Contact).c
    async with world.db.read(world.scope) as tx:
        rows = await tx.execute(
            sa.select(contacts.email, contacts.id).where(contacts.tenant_id == world.scope.tenant_id)
        )
        return {row.email.partition("@")[0]: row.id for row in rows}


async def segment(world: World, name: str, text: str) -> int:
    async with world.db.write(world.scope) as tx:
        made = await saved.add(tx, world.scope, name=name, rule=parse(text), now=NOON)
    return made.id or 0


async def tagged(world: World, **people: str) -> None:
    """`vip="u0 u1"`."""
    ids = await ids_of(world)
    async with world.db.write(world.scope) as tx:
        for tag, names in people.items():
            chosen = [ids[name] for name in names.split()]
            await tags.tag_contacts(tx, world.scope, tag=tag, contact_ids=chosen, now=NOON)


async def member_state(world: World, name: str, state: str) -> None:
    contact_id = (await ids_of(world))[name]
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(ListMember)
            .where(
                col(ListMember.tenant_id) == world.scope.tenant_id, col(ListMember.contact_id) == contact_id
            )
            .values(state=state)
        )


async def verdict(world: World, campaign_id: CampaignId) -> dict[str, str]:
    items = await check(world.db, world.scope, campaign_id=campaign_id, now=NOON)
    return {item.level: item.message for item in items if item.code == "audience"}


async def recipients(world: World) -> set[str]:
    return {email.partition("@")[0] for email in await world.tasks()}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"segments": ["VIP"]}, {"u0", "u1"}),
        ({"segments": ["VIP", "Gold"]}, {"u0", "u1", "u2"}),
        ({"segments": ["VIP"], "exclude_segments": ["Gold"]}, {"u0"}),
        ({"exclude_segments": ["Gold", "VIP"]}, {"u3", "u4"}),
        ({"exclude_lists": ["Others"]}, {"u0", "u1", "u2", "u3", "u4"}),
        ({"lists": [], "segments": ["VIP", "Strangers"]}, {"u0", "u1", "x0", "x1"}),
        ({"lists": [], "segments": ["Everyone"], "exclude_lists": ["Customers"]}, {"x0", "x1"}),
    ],
)
async def test_lists_and_segments_narrow_each_other(world: World, fields: Any, expected: set[str]) -> None:
    await world.people(2, list_name="Others", prefix="x")
    await tagged(world, vip="u0 u1", gold="u1 u2")
    for name, text in {
        "VIP": "tag = VIP", "Gold": "tag = gold", "Strangers": "list = Others", "Everyone": "everyone"
    }.items():  # fmt: skip
        await segment(world, name, text)
    campaign_id = await world.draft(**fields)
    launched = await world.launch(campaign_id)
    assert await recipients(world) == expected
    assert launched.audience == len(expected)


async def test_the_launch_fixes_the_rules_and_pages_agree(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailengine.domain.campaigns.expand.PAGE_CONTACTS", 2)
    await tagged(world, vip="u0 u3 u4", other="u1")
    segment_id = await segment(world, "VIP", "tag = vip")
    campaign_id = await world.draft(segments=["VIP"])
    await world.launch(campaign_id, expand=False)
    async with world.db.write(world.scope) as tx:
        await saved.update(tx, world.scope, segment_id=segment_id, rule=parse("tag = other"), now=NOON)
        await saved.delete(tx, world.scope, segment_id=segment_id, now=NOON)
    await world.expand(campaign_id)
    assert await recipients(world) == {"u0", "u3", "u4"}


async def test_a_tag_with_another_name_means_the_same_people_after_the_launch(world: World) -> None:
    await tagged(world, vip="u0 u3", gold="u3 u4", other="u1")
    await segment(world, "VIP", "tag = vip and not tag = other")
    campaign_id = await world.draft(segments=["VIP"])
    await world.launch(campaign_id, expand=False)
    async with world.db.write(world.scope) as tx:
        vip, other = [await tags.get_tag(tx, world.scope, name=name) for name in ("vip", "other")]
        await tag_changes.rename(tx, world.scope, tag_id=other.id or 0, name="Others", now=NOON)
        await tag_changes.merge(tx, world.scope, tag_id=vip.id or 0, into="gold", now=NOON)
    await world.expand(campaign_id)
    assert await recipients(world) == {"u0", "u3", "u4"}


async def test_a_tag_that_is_gone_blocks_the_sending_and_empties_what_was_sent(world: World) -> None:
    await tagged(world, vip="u0")
    await segment(world, "VIP", "tag = vip")
    campaign_id, sent = (
        await world.draft(segments=["VIP"]),
        await world.draft(name="Second", segments=["VIP"]),
    )
    await world.launch(sent, expand=False)
    async with world.db.write(world.scope) as tx:
        await lose_tag(tx, world.scope, "vip")
    assert "there is no tag vip" in (await verdict(world, campaign_id))["error"]
    with pytest.raises(Refused):
        await world.launch(campaign_id)
    await world.expand(sent)
    assert await recipients(world) == set()


async def test_the_checklist_says_who_is_left_out(world: World) -> None:
    await tagged(world, vip="u0 u1 u2", gold="u1")
    await segment(world, "VIP", "tag = vip")
    gold = await segment(world, "Gold", "tag = gold")
    await member_state(world, "u2", "unsubscribed")
    campaign_id = await world.draft(segments=["VIP"], exclude_segments=["Gold"])
    assert (await verdict(world, campaign_id))["ok"] == "1 recipient; left out: 1 excluded, 1 left the list"
    everyone = await world.draft(name="All", lists=[], segments=["VIP"])
    assert (await verdict(world, everyone))["ok"] == "2 recipients; left out: 1 left the list"
    async with world.db.write(world.scope) as tx:
        with pytest.raises(Conflict, match="Gold is used by the campaign"):
            await saved.delete(tx, world.scope, segment_id=gold, now=NOON)
        await campaigns.delete(tx, world.scope, campaign_id=campaign_id, now=NOON)
        await saved.delete(tx, world.scope, segment_id=gold, now=NOON)
        await trash.restore_campaign(tx, world.scope, campaign_id=campaign_id, now=NOON)
    assert "a segment of this campaign is not there" in (await verdict(world, campaign_id))["error"]


async def test_who_leaves_all_lists_after_the_launch_is_not_mailed(world: World) -> None:
    """Also by a campaign that names no list."""
    from mailengine.domain.delivery.gate import Send, Skip, look_again

    await segment(world, "All", "everyone")
    await world.launch(await world.draft(lists=[], segments=["All"]))
    await member_state(world, "u1", "unsubscribed")
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.text("UPDATE email_tasks SET claim_token = 'tok', status = 'claimed'"))
    async with world.db.read(world.scope) as tx:
        decisions = await look_again(tx, world.scope, claim_token="tok", list_ids=(), hash_key=bytes(32))
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.text("UPDATE email_tasks SET claim_token = NULL, status = 'queued'"))
    by_email = {email: decisions[task.id or 0] for email, task in (await world.tasks()).items()}
    assert by_email["u1@example.org"] == Skip("the contact left the list")
    assert isinstance(by_email["u0@example.org"], Send)


async def test_a_campaign_needs_somebody_and_only_what_is_the_tenants(world: World, stranger: Scope) -> None:
    await segment(world, "Mine", "everyone")
    with pytest.raises(InvalidInput, match="a list or a segment"):
        await world.draft(lists=[])
    campaign_id = await world.draft(name="Third", lists=[], segments=["Mine"])
    async with world.db.write(world.scope) as tx:
        with pytest.raises(InvalidInput, match="a list or a segment"):
            await campaigns.update(
                tx, world.scope, campaign_id=campaign_id, fields=Fields(segments=[""]), now=NOON
            )
    async with world.db.write(stranger) as tx:
        await create_list(tx, stranger, name="Theirs", now=NOON)
    for fields in ({"segments": ["Theirs"]}, {"exclude_lists": ["Theirs"]}, {"exclude_segments": ["Theirs"]}):
        with pytest.raises(NotFound):
            await world.draft(name=f"Draft {fields}", **fields)
