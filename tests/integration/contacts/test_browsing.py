"""Looking through contacts: every filter finds the same people and the same number, whichever way it is asked."""

from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa

from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts, lists, states, tags
from mailengine.domain.contacts.browsing import Filter, browse, counted_apart, state_counts, total
from mailengine.domain.contacts.search import linked
from mailengine.models import Contact, ContactState
from support.house import NOW

pytestmark = pytest.mark.anyio
PEOPLE = "email\n" + "".join(f"p{n:02}@example.org\n" for n in range(12))


@pytest.fixture
async def ids(importing: Any, db: Database, scope: Scope, other: Scope) -> list[int]:
    """Twelve people on a list, most with a tag, some of whom left or were deleted."""
    await importing(PEOPLE)
    await importing(PEOPLE, scope=other, tags=("fair",))
    rows = table_of(Contact).c
    async with db.write(scope) as tx:
        found = list(
            await tx.scalars(sa.select(rows.id).where(rows.tenant_id == scope.tenant_id).order_by(rows.id))
        )
        await tags.tag_contacts(tx, scope, tag="fair", contact_ids=found[2:], now=NOW)
        for contact_id in found[:4]:
            await states.unsubscribe(tx, scope, contact_id=contact_id, now=NOW, reason="test")
        for number in (3, 8):
            await contacts.soft_delete(tx, scope, address=f"p{number:02}@example.org", now=NOW)
    return found


async def test_every_filter_finds_the_same_however_it_is_asked(
    ids: list[int], db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.read(scope) as tx:
        tag = (await tags.get_tag(tx, scope, name="fair")).id
        on_list = (await lists.get_list(tx, scope, name="Customers")).id
    chosen = [
        Filter(state=state, list_id=list_id, tag_id=tag_id, deleted=deleted)
        for state, list_id, tag_id, deleted in product(
            (None, ContactState.UNSUBSCRIBED), (None, on_list), (None, tag), (False, True)
        )
    ]
    assert {each.deleted for each in chosen} == {False, True}
    for few in (100, 2):
        monkeypatch.setattr(linked, "FEW", few)
        for each in chosen:
            async with db.read(scope) as tx:
                exact = await browse(tx, scope, each, page=PageRequest())
                uncounted = await browse(tx, scope, each, page=PageRequest(limit=3, count=False))
                told, told_all = await total(tx, scope, each, await state_counts(tx, scope))
            expected = {
                contact_id
                for number, contact_id in enumerate(ids)
                if (number in (3, 8)) is each.deleted
                and (each.tag_id is None or number >= 2)
                and (each.state is None or number < 4)
            }
            assert {row.id for row in exact.items} == expected, each
            assert exact.total == len(expected) or not exact.exact
            assert told == len(expected) if told_all else few, each
            if counted_apart(each):
                assert (uncounted.total, uncounted.exact) == (min(told, 3), told <= 3), each


async def test_counts_of_tags_and_lists_leave_out_who_was_deleted(
    ids: list[int], db: Database, scope: Scope
) -> None:
    async with db.read(scope) as tx:
        tag_id = (await tags.get_tag(tx, scope, name="fair")).id or 0
        list_id = (await lists.get_list(tx, scope, name="Customers")).id or 0
        assert await tags.counts(tx, scope, tag_ids=[tag_id, 999]) == {tag_id: 8, 999: 0}
        members = await lists.member_counts(tx, scope, list_ids=[list_id])
        assert members == {list_id: {"subscribed": 10}}
