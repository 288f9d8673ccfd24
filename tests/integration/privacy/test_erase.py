"""A person is forgotten: nothing is left in any table or file, figures stay, and no import brings them back."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.core.errors import Conflict, Forbidden, NotFound, Refused
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts
from mailengine.domain.contacts.search.index import index_some, purge
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.privacy import person
from mailengine.domain.privacy.erase import Erased, again, erase
from mailengine.domain.privacy.files import forget_everywhere
from mailengine.domain.privacy.holdings import declared, holdings, models
from mailengine.domain.privacy.quotes import NOBODY, addresses_in, without_address
from mailengine.models import (
    CampaignTotals,
    Contact,
    EmailEvent,
    EmailTask,
    Job,
    Message,
    Segment,
    Suppression,
)
from mailengine.models.personal import Hold
from support.house import INSTANCE, KEYRING, NOW
from support.traces import ADDRESS, leave_traces, told

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)


async def forget(db: Database, scope: Scope, folder: Path, address: str = ADDRESS) -> Erased:
    await forget_everywhere(db, scope, data_dir=folder, address=address)
    async with db.write(scope) as tx:
        return await erase(tx, scope, address=address, hash_key=HASH_KEY, now=NOW)


async def figures(db: Database, scope: Scope) -> list[tuple[object, ...]]:
    async with db.read(scope) as tx:
        tasks = await tx.execute(
            sa.select(table_of(EmailTask).c.status, sa.func.count())
            .where(table_of(EmailTask).c.tenant_id == scope.tenant_id)
            .group_by(table_of(EmailTask).c.status)
        )
        events = await tx.execute(
            sa.select(table_of(EmailEvent).c.kind, sa.func.count())
            .where(table_of(EmailEvent).c.tenant_id == scope.tenant_id)
            .group_by(table_of(EmailEvent).c.kind)
        )
        totals = await tx.scalars(owned(CampaignTotals, scope))
        return [*map(tuple, tasks), *map(tuple, events), *[(row.tasks, row.sent) for row in totals]]


async def test_nothing_is_left_and_the_figures_stay(db: Database, scope: Scope, tmp_path: Path) -> None:
    contact_id = await leave_traces(db, scope, tmp_path)
    assert await index_some(db, INSTANCE) == 1
    before, counted = await told(db, tmp_path), await figures(db, scope)
    quoting = {str(model.__tablename__) for model in models() if Hold.QUOTE in declared(model).values()}
    missing = ({each.table.name for each in holdings() if each.columns} | quoting) - before.keys()
    assert not missing, f"the test leaves no trace in {missing}"
    assert any(name.endswith("-errors.csv") for name in before)
    assert db.postgres or "contact_search" in before
    erased = await forget(db, scope, tmp_path)
    assert await purge(db, INSTANCE) == 1
    assert await told(db, tmp_path) == {}
    assert await figures(db, scope) == counted
    assert erased.contact_id == contact_id
    async with db.read(scope) as tx:
        (row,) = await tx.scalars(owned(Contact, scope))
        assert (row.first_name, row.last_name, row.attributes) == ("[Deleted]", "[Deleted]", {})
        assert row.email == f"deleted-{contact_id}@gdpr.invalid"
        (kept,) = await tx.scalars(owned(Suppression, scope))
        assert (kept.kind, kept.reason) == ("hash", "erased")
        (segment,) = await tx.scalars(owned(Segment, scope))
        assert segment.rule["value"] == [NOBODY, "bob@example.org"]
    (path,) = tmp_path.rglob("*-errors.csv")
    assert "bob@example.org" in path.read_text()


async def test_they_cannot_be_brought_back(db: Database, scope: Scope, tmp_path: Path) -> None:
    contact_id = await leave_traces(db, scope, tmp_path)
    await forget(db, scope, tmp_path)
    with pytest.raises(Refused, match="forgotten"):
        async with db.write(scope) as tx:
            await contacts.add(tx, scope, contacts.check_contact(ADDRESS), now=NOW, hash_key=HASH_KEY)
    for disguise in (f"deleted-{contact_id}@gdpr.invalid", ADDRESS):
        with pytest.raises(NotFound):
            async with db.write(scope) as tx:
                await contacts.restore(tx, scope, address=disguise, now=NOW)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("email in (ANN@example.org, b@example.org)", f"email in ({NOBODY}, b@example.org)"),
        ('"ann@example.org".', f'"{NOBODY}".'),
        ("joann@example.org, x.ann@example.org, ann@example.org.uk", None),
    ],
)
def test_an_address_is_taken_out_of_words_about_others(text: str, without: str | None) -> None:
    assert without_address(text, addresses_in({"ann@example.org"})) == (without or text)


async def test_several_people_are_erased_and_stay_apart(db: Database, scope: Scope, tmp_path: Path) -> None:
    for address in (ADDRESS, "yan.quagga@example.org"):
        await leave_traces(db, scope, tmp_path, address=address)
    for address in (ADDRESS, "yan.quagga@example.org"):
        await forget(db, scope, tmp_path, address)
    assert await told(db, tmp_path) == {}
    async with db.read(scope) as tx:
        rows = (await tx.scalars(owned(Contact, scope))).all()
        hashes = (await tx.scalars(owned(Suppression, scope))).all()
    assert len({row.email_key for row in rows}) == 2
    assert len(hashes) == 2


async def test_another_tenant_keeps_theirs(db: Database, scope: Scope, other: Scope, tmp_path: Path) -> None:
    await leave_traces(db, other, tmp_path)
    with pytest.raises(NotFound):
        await forget(db, scope, tmp_path)
    assert "contacts" in await told(db, tmp_path)
    assert any(name.endswith("-errors.csv") for name in await told(db, tmp_path))


async def test_who_may_not_manage_may_not_erase(db: Database, scope: Scope, tmp_path: Path) -> None:
    await leave_traces(db, scope, tmp_path)
    editor = Scope(scope.tenant_id, "user:1", frozenset({Grant.READ, Grant.EDIT}))
    with pytest.raises(Forbidden):
        await forget(db, editor, tmp_path)
    with pytest.raises(Forbidden):
        async with db.read(editor) as tx:
            await person.collect(tx, editor, address=ADDRESS)
    assert "contacts" in await told(db, tmp_path)


async def test_it_waits_for_a_running_import_and_a_message_on_the_wire(
    db: Database, scope: Scope, tmp_path: Path
) -> None:
    await leave_traces(db, scope, tmp_path)
    async with db.write(scope) as tx:
        tx.add(Job(id=77, tenant_id=scope.tenant_id, kind="import", state="running", created_at=NOW))
    with pytest.raises(Conflict, match=r"import 77 is running.*jobs cancel 77"):
        await forget(db, scope, tmp_path)
    async with db.write(scope) as tx:
        await tx.execute(
            sa.delete(Job).where(table_of(Job).c.tenant_id == scope.tenant_id, table_of(Job).c.id == 77)
        )
        await tx.execute(
            sa.update(Message)
            .where(table_of(Message).c.tenant_id == scope.tenant_id)
            .values(status="claimed", claim_token="t", locked_by="n", lease_until=NOW, finished_at=None)
        )
    with pytest.raises(Conflict, match="being sent"):
        await forget(db, scope, tmp_path)


async def test_what_comes_in_later_is_emptied_too(db: Database, scope: Scope, tmp_path: Path) -> None:
    contact_id = await leave_traces(db, scope, tmp_path)
    await forget(db, scope, tmp_path)
    async with db.write(scope) as tx:  # a click in an old message, and the server's words of one under way
        await tx.execute(
            sa.update(EmailEvent)
            .where(table_of(EmailEvent).c.tenant_id == scope.tenant_id)
            .values(ip="203.0.113.77", user_agent="Quagga/1.0")
        )
        await tx.execute(
            sa.update(EmailTask)
            .where(
                table_of(EmailTask).c.contact_id == contact_id,
                table_of(EmailTask).c.tenant_id == scope.tenant_id,
            )
            .values(last_reply="250 queued for Quagga")
        )
        assert await again(tx, scope, now=NOW) == 1
    assert await told(db, tmp_path) == {}


async def test_a_person_sees_all_that_is_held(
    db: Database, scope: Scope, other: Scope, tmp_path: Path
) -> None:
    await leave_traces(db, scope, tmp_path)
    await leave_traces(db, other, tmp_path)
    async with db.read(scope) as tx:
        held = await person.collect(tx, scope, address=ADDRESS.upper().replace("ZOE.QUAGGA", "zoe.quagga"))
    assert held.keys() == {each.table.name for each in holdings()}
    assert held["contacts"][0]["attributes"] == {"city": "Quaggatown"}
    assert held["email_tasks"][0]["campaign"] == "Spring"
    assert [len(rows) for rows in held.values()] == [1] * len(held), "and nothing of the other tenant"
