"""Who may be mailed, who is left out, and single contacts, on real databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound, Refused
from mailengine.core.ids import ContactId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.contacts import audience, contacts, lists, states, suppression
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.suppression import Target, erased_hash, parse_target
from mailengine.models import ContactState, ListMember, SuppressionKind
from support.house import KEYRING, NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
HASH_KEY = KEYRING.derive(suppression.HASH_PURPOSE)


async def list_id(db: Database, scope: Scope, name: str) -> int:
    async with db.read(scope) as tx:
        found = await lists.get_list(tx, scope, name=name)
    assert found.id is not None
    return found.id


async def test_each_person_once_and_only_those_who_may_be_mailed(
    importing: Importing, db: Database, scope: Scope, other: Scope
) -> None:
    people = "email\n" + "".join(f"p{n}@example.org\n" for n in range(7)) + "q@blocked.example\n"
    await importing(people)
    await importing("email\np0@example.org\nonly@example.org\n", list_name="Second")
    await importing(people, scope=other)
    ids = [await list_id(db, scope, "Customers"), await list_id(db, scope, "Second")]
    async with db.write(scope) as tx:
        found = {
            n: contacts.contact_id(await contacts.get_contact(tx, scope, address=f"p{n}@example.org"))
            for n in range(7)
        }
        await states.unsubscribe(tx, scope, contact_id=found[1], now=NOW, reason="link")
        assert not await states.unsubscribe(tx, scope, contact_id=found[1], now=NOW, reason="link")
        assert await states.mark_bounced(tx, scope, [found[1], found[2]], NOW) == 1
        await contacts.soft_delete(tx, scope, address="p3@example.org", now=NOW)
        await suppression.suppress(tx, scope, parse_target("p4@example.org"), reason="manual", now=NOW)
        await suppression.suppress(tx, scope, parse_target("blocked.example"), reason="manual", now=NOW)
        for n, state in ((5, "unsubscribed"), (6, "unconfirmed")):
            await tx.execute(
                sa.update(ListMember)
                .where(col(ListMember.tenant_id) == scope.tenant_id, col(ListMember.contact_id) == found[n])
                .values(state=state)
            )
    async with db.read(scope) as tx:
        chosen = await audience.choose(tx, scope, audience.Choice(list_ids=tuple(ids)), now=NOW)
        rows = (await tx.execute(audience.audience(scope, chosen).order_by("id"))).all()
        assert [email for _id, email in rows] == ["p0@example.org", "only@example.org"]
        reachable, left_out = await audience.reach(tx, scope, chosen)
        assert reachable == len(rows)
        assert left_out == {
            "unsubscribed": 1,
            "bounced": 1,
            "deleted": 1,
            "suppressed": 1,
            audience.SUPPRESSED_DOMAIN: 1,
            audience.LEFT_THE_LIST: 1,
            audience.NOT_CONFIRMED: 1,
        }
    async with db.read(other) as tx:
        chosen = await audience.choose(tx, other, audience.Choice(list_ids=tuple(ids)), now=NOW)
        assert (await tx.execute(audience.audience(other, chosen))).all() == []


@pytest.mark.parametrize("typed", ["Åse", "åse", "ÅSE", "åse bj", "Øst"])
async def test_names_are_found_in_any_case_and_script(db: Database, scope: Scope, typed: str) -> None:
    new = contacts.check_contact("a@example.org", first_name="Åse", last_name="Bjørn Østby")
    async with db.write(scope) as tx:
        await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)
        assert (await contacts.search(tx, scope, text=typed, page=PageRequest())).total == 1


async def test_a_contact_from_beginning_to_end(db: Database, scope: Scope, other: Scope) -> None:
    new = contacts.check_contact("Ann@Example.org", first_name="Ann", attributes_given={"city": "Bonn"})
    async with db.write(scope) as tx:
        made = await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)
        with pytest.raises(Conflict, match="already a contact"):
            await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)
        assert (await contacts.search(tx, scope, text="ANN@ex", page=PageRequest())).total == 1
        assert (await contacts.search(tx, scope, text="Bo", attribute="city", page=PageRequest())).total == 1
        assert (await contacts.search(tx, scope, text="100%_", page=PageRequest())).total == 0
        page = await contacts.list_contacts(tx, scope, page=PageRequest(), state=ContactState.SUBSCRIBED)
        assert page.total == 1
        await contacts.soft_delete(tx, scope, address="ann@example.org", now=NOW)
        assert (await contacts.list_contacts(tx, scope, page=PageRequest())).total == 0
        assert (await contacts.deleted(tx, scope, page=PageRequest())).total == 1
        with pytest.raises(Conflict, match="restore it"):
            await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)
        with pytest.raises(Refused, match="30 days"):
            await contacts.restore(tx, scope, address="ann@example.org", now=NOW + timedelta(days=31))
        await contacts.restore(tx, scope, address="ann@example.org", now=NOW + timedelta(days=30))
    async with db.write(other) as tx:
        identity = ContactId(made.id or 0)
        with pytest.raises(NotFound):
            await states.unsubscribe(tx, other, contact_id=identity, now=NOW, reason="link")
        assert await states.mark_bounced(tx, other, [identity], NOW) == 0
        with pytest.raises(NotFound):
            await contacts.restore(tx, other, address="ann@example.org", now=NOW)


async def test_who_came_as_suppressed_in_a_file_can_be_let_in(
    importing: Importing, db: Database, scope: Scope
) -> None:
    await importing("email,state\nann@x.org,suppressed\nbob@bad.org,suppressed\neve@x.org,unsubscribed\n")
    async with db.write(scope) as tx:
        await suppression.suppress(tx, scope, parse_target("@bad.org"), reason="test", now=NOW)
        await suppression.unsuppress(tx, scope, parse_target("ann@x.org"), now=NOW)
        for address in ("ann@x.org", "bob@bad.org", "eve@x.org"):
            with pytest.raises(NotFound):
                await suppression.unsuppress(tx, scope, parse_target(address), now=NOW)
    async with db.read(scope) as tx:
        people = [await contacts.get_contact(tx, scope, address=each) for each in ("ann@x.org", "eve@x.org")]
    assert [person.state for person in people] == ["subscribed", "unsubscribed"]


async def test_suppression_keeps_people_out_and_lifting_it_lets_them_in(
    importing: Importing, db: Database, scope: Scope
) -> None:
    await importing("email\nann@example.org\n")
    target = parse_target("ANN@example.org")
    erased = Target(SuppressionKind.HASH, erased_hash(HASH_KEY, "gone@example.org"))
    async with db.write(scope) as tx:
        assert await suppression.suppress_all(tx, scope, [target, erased], reason="test", now=NOW) == 2
        keys = ["ann@example.org", "bob@example.org"]
        assert await suppression.suppressed(tx, scope, keys) == {"ann@example.org"}
        for address in ("ann@example.org", "gone@example.org"):
            with pytest.raises(Refused):
                await contacts.add(tx, scope, contacts.check_contact(address), now=NOW, hash_key=HASH_KEY)
    async with db.write(scope) as tx:
        await suppression.unsuppress(tx, scope, target, now=NOW)
    async with db.read(scope) as tx:
        found = await contacts.get_contact(tx, scope, address="ann@example.org")
        assert found.state == "subscribed"
    with pytest.raises(InvalidInput, match="neither"):
        parse_target("not a domain")
