"""Tags on real databases: alike in any case, in bulk, each tenant's own."""

from collections.abc import Awaitable, Callable

import pytest

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.campaigns import tag_removal
from mailengine.domain.contacts import contacts, tag_changes, tags
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.show import show
from mailengine.models import Contact
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
PEOPLE = "email\na@example.org\nb@example.org\nc@example.org\n"


async def ids_in(stored: Stored, scope: Scope) -> list[int]:
    return sorted(contacts.contact_id(found) for found in (await stored(scope)).values())


async def test_a_tag_from_beginning_to_end(
    importing: Importing, stored: Stored, db: Database, scope: Scope
) -> None:
    await importing(PEOPLE)
    people = await ids_in(stored, scope)
    async with db.write(scope) as tx:
        assert await tags.tag_contacts(tx, scope, tag=" Big  fish", contact_ids=people[:2], now=NOW) == 2
        assert await tags.tag_contacts(tx, scope, tag="BIG FISH", contact_ids=people, now=NOW) == 1
        with pytest.raises(Conflict, match="already a tag"):
            await tags.create_tag(tx, scope, name="big fish", now=NOW)
        await tags.create_tag(tx, scope, name="Åse", now=NOW)
        await contacts.soft_delete(tx, scope, address="c@example.org", now=NOW)
    async with db.write(scope) as tx:
        page = await tags.list_tags(tx, scope, page=PageRequest(limit=1))
        assert [tag.name for tag in page.items] == ["Big fish"]
        rest = await tags.list_tags(tx, scope, page=PageRequest(cursor=page.next))
        assert [tag.name for tag in rest.items] == ["Åse"]
        tag_id = page.items[0].id or 0
        assert await tags.counts(tx, scope, tag_ids=[tag_id]) == {tag_id: 2}
        assert await tags.tags_of(tx, scope, people) == {each: ["Big fish"] for each in people}
        for text in ("big", "BIG FI"):
            assert (await contacts.search(tx, scope, text=text, page=PageRequest())).total == 2
        assert (await contacts.search(tx, scope, text="fish", page=PageRequest())).total == 0
        assert await tags.untag_contacts(tx, scope, tag="big fish", contact_ids=people[:1], now=NOW) == 1
        assert await tags.tag_contacts(tx, scope, tag="big fish", contact_ids=people[2:], now=NOW) == 0
        await tag_removal.delete_tag(tx, scope, tag_id=tag_id, now=NOW)
        assert await tags.tags_of(tx, scope, people) == {}
        with pytest.raises(NotFound):
            await tags.untag_contacts(tx, scope, tag="big fish", contact_ids=people, now=NOW)


async def test_tags_in_bulk_may_be_written_again(
    importing: Importing, stored: Stored, db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    await importing(PEOPLE)
    people = await ids_in(stored, scope)
    for _ in range(2):
        async with db.write(scope) as tx:
            ids = await tags.ids_of(tx, scope, ["vip", "VIP", "Köln", "KÖLN"], now=NOW)
            assert len(set(ids.values())) == 2
            await tags.attach(tx, scope, [(tag_id, each) for tag_id in ids.values() for each in people])
    async with db.read(scope) as tx:
        assert await tags.tags_of(tx, scope, people) == {each: ["Köln", "vip"] for each in people}
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    async with db.write(scope) as tx:
        assert await tags.ids_of(tx, scope, ["three"], now=NOW)
        with pytest.raises(InvalidInput, match="3 is the most"):
            await tags.ids_of(tx, scope, ["four"], now=NOW)


async def test_another_tenants_tags_and_contacts_are_not_there(
    importing: Importing, stored: Stored, db: Database, scope: Scope, other: Scope
) -> None:
    await importing(PEOPLE)
    people = await ids_in(stored, scope)
    async with db.write(scope) as tx:
        await tags.tag_contacts(tx, scope, tag="vip", contact_ids=people, now=NOW)
        mine = await tags.get_tag(tx, scope, name="vip")
    async with db.write(other) as tx:
        assert await tags.tag_contacts(tx, other, tag="vip", contact_ids=people, now=NOW) == 0
        theirs = await tags.get_tag(tx, other, name="vip")
        assert theirs.id != mine.id
        assert await tags.untag_contacts(tx, other, tag="vip", contact_ids=people, now=NOW) == 0
        assert await tags.tags_of(tx, other, people) == {}
        assert (await contacts.search(tx, other, text="vip", page=PageRequest())).total == 0
        with pytest.raises(NotFound):
            await tags.get_by_id(tx, other, tag_id=mine.id or 0)
    viewer = Scope(scope.tenant_id, "viewer", frozenset())
    async with db.write(viewer) as tx:
        with pytest.raises(Forbidden):
            await tags.tag_contacts(tx, viewer, tag="vip", contact_ids=people, now=NOW)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b", "a\x1b[31mb"])
def test_names_that_no_tag_can_have(name: str) -> None:
    with pytest.raises(InvalidInput):
        tags.check_tag(name)


async def test_another_name_and_one_tag_of_two(
    importing: Importing, stored: Stored, db: Database, scope: Scope, other: Scope
) -> None:
    await importing(PEOPLE)
    people = await ids_in(stored, scope)
    async with db.write(scope) as tx:
        await tags.tag_contacts(tx, scope, tag="old", contact_ids=people[:2], now=NOW)
        await tags.tag_contacts(tx, scope, tag="Other", contact_ids=people[1:], now=NOW)
        rule = parse("(tag in (OLD, other) and not tag = old) or first_name = old")
        await saved.add(tx, scope, name="Some", rule=rule, now=NOW)
        old = await tags.get_tag(tx, scope, name="old")
        kept = await tags.get_tag(tx, scope, name="other")
    tag_id = old.id or 0
    with pytest.raises(Conflict, match="merge the two instead"):
        async with db.write(scope) as tx:
            await tag_changes.rename(tx, scope, tag_id=tag_id, name="OTHER", now=NOW)
    async with db.write(scope) as tx:
        assert (await tag_changes.rename(tx, scope, tag_id=tag_id, name="OLD", now=NOW)).name == "OLD"
        assert (
            await tag_changes.rename(tx, scope, tag_id=tag_id, name=" new  one", now=NOW)
        ).name == "new one"
    async with db.read(scope) as read:
        segment = saved.rule_of(await saved.get(read, scope, name="Some"))
        assert show(segment) == '(tag in ("new one", other) and tag != "new one") or first_name = old'
    for into, wrong in (("nothing", "no tag called"), ("NEW one", "into itself")):
        with pytest.raises(InvalidInput, match=wrong):
            async with db.write(scope) as tx:
                await tag_changes.merge(tx, scope, tag_id=tag_id, into=into, now=NOW)
    stranger = Scope(scope.tenant_id, "viewer", frozenset())
    for who, error in ((other, NotFound), (stranger, Forbidden)):
        async with db.write(who) as tx:
            with pytest.raises(error):
                await tag_changes.rename(tx, who, tag_id=tag_id, name="x", now=NOW)
            with pytest.raises(error):
                await tag_changes.merge(tx, who, tag_id=tag_id, into="other", now=NOW)
    async with db.write(scope) as tx:
        assert (await tag_changes.merge(tx, scope, tag_id=tag_id, into="OTHER", now=NOW)).id == kept.id
    async with db.read(scope) as read:
        assert await tags.counts(read, scope, tag_ids=[kept.id or 0]) == {kept.id: 3}
        segment = saved.rule_of(await saved.get(read, scope, name="Some"))
        assert show(segment) == "(tag in (other) and tag != Other) or first_name = old"
        with pytest.raises(NotFound):
            await tags.get_by_id(read, scope, tag_id=tag_id)
