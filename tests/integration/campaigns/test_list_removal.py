"""A list is deleted: who was on it is taken off in pages, who had left is still gone; whoever uses it keeps it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.daemon.chores import CHORES, Chores
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import WriteTx
from mailengine.domain.campaigns import campaigns, control, finish, list_removal, retry
from mailengine.domain.campaigns.uses import uses
from mailengine.domain.contacts import audience, bulk, contacts, lists
from mailengine.domain.contacts.browsing import Filter
from mailengine.domain.contacts.bulk import Act, BulkRequest
from mailengine.domain.contacts.exports import run as exports
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file, resume
from mailengine.domain.contacts.imports.upload_jobs import queue_upload
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.rules import Everyone
from mailengine.domain.delivery import doubts, outcome
from mailengine.domain.delivery.claim import claim
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.domain.jobs import jobs
from mailengine.domain.signup import forms
from mailengine.domain.signup.forms import FormFields
from mailengine.mail.replies import judge, parse_reply
from mailengine.models import AuditEntry, ContactList, ListMember, MemberState
from mailengine.runtime import Runtime
from support.world import NOON, World

pytestmark = pytest.mark.anyio
FULL = judge(parse_reply("552 5.2.2 mailbox full"), "rcpt")


async def the_list(world: World, name: str = "Customers") -> ContactList:
    async with world.db.read(world.scope) as tx:
        return await lists.get_list(tx, world.scope, name=name)


async def delete(world: World, found: ContactList, scope: Scope | None = None) -> ContactList:
    who = scope or world.scope
    async with world.db.write(who) as tx:
        return await list_removal.delete_list(tx, who, list_id=found.id or 0, now=NOON)


async def used_by(world: World, found: ContactList) -> list[str]:
    async with world.db.read(world.scope) as tx:
        return await uses(tx, world.scope, found)


async def on_it(world: World, found: ContactList) -> list[str]:
    """The states of those that the table has, of whatever list."""
    async with world.db.read(world.scope) as tx:
        rows = owned(ListMember, world.scope).where(col(ListMember.list_id) == found.id)
        return sorted(row.state for row in await tx.scalars(rows))


async def reached(world: World) -> int:
    """By a campaign that goes to everybody, without lists."""
    async with world.db.read(world.scope) as tx:
        choice = audience.Choice(segments=(Everyone(),))
        chosen = await audience.choose(tx, world.scope, choice, now=NOON)
        return (await audience.reach(tx, world.scope, chosen))[0]


async def chores(world: World) -> None:
    async def go() -> bool:
        return True

    due = [chore for chore in CHORES if chore.name == "deleted lists"]
    await Chores(Runtime(world.settings, world.db, world.clock, world.keyring), due).turn(go)


async def test_everybody_is_taken_off_a_page_at_a_time_and_stays_a_contact(
    world: World, stranger: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_removal, "PAGE", 2)
    found = await the_list(world)
    await world.people(1, list_name="Others", prefix="o")
    async with world.db.write(world.scope) as tx:
        gone = await contacts.get_contact(tx, world.scope, address="u2@example.org")
        of, left = [found.id or 0], MemberState.UNSUBSCRIBED
        who = world.scope
        await lists.set_membership(tx, who, contact_id=gone.id or 0, list_ids=of, state=left, now=NOON)
    assert (await reached(world), len(await on_it(world, found))) == (5, 5)
    async with world.db.read(world.scope) as tx:
        assert await lists.people_on(tx, world.scope, list_id=found.id or 0) == 4
    with pytest.raises(NotFound):
        await delete(world, found, stranger)
    with pytest.raises(Forbidden):
        await delete(world, found, Scope(world.scope.tenant_id, "user:1", frozenset({Grant.READ})))
    await delete(world, found)
    with pytest.raises(NotFound):
        await delete(world, found)
    async with world.db.write(world.scope) as tx:  # at once: it is not there, and its name is free
        there = await lists.list_lists(tx, world.scope, page=PageRequest())
        assert [row.name for row in there.items] == ["Others"]
        again = await lists.get_or_create(tx, world.scope, name="Customers", now=NOON)
        assert again.id not in (None, found.id)
        assert not await lists.keep_any(tx, world.scope, [found.id or 0])
        person = await contacts.get_contact(tx, world.scope, address="u1@example.org")
        assert await lists.memberships(tx, world.scope, [person.id or 0]) == {}
        assert await lists.people_on(tx, world.scope, list_id=again.id or 0) == 0
    pages = list_removal.empty(world.db, world.scope, list_id=found.id or 0, now=NOON)
    assert await anext(pages) == 2
    await pages.aclose()  # as one that is killed
    assert len(await on_it(world, found)) == 3
    await chores(world)
    assert await on_it(world, found) == [MemberState.UNSUBSCRIBED]
    async with world.db.read(world.scope) as tx:
        row = await tx.scalar(owned(ContactList, world.scope).where(col(ContactList.id) == found.id))
        assert row is not None
        assert (row.deleted_at, row.emptied_at is not None) == (NOON, True)
        assert (await contacts.list_contacts(tx, world.scope, page=PageRequest())).total == 6
        acts = owned(AuditEntry, world.scope).where(col(AuditEntry.action) == "list.delete")
        assert [entry.resource_id for entry in await tx.scalars(acts)] == [found.id]
    assert (await reached(world), len(await on_it(world, await the_list(world, "Others")))) == (5, 1)


async def test_whoever_uses_it_keeps_it(world: World, stranger: Scope) -> None:
    found = await the_list(world)
    await world.people(1, list_name="Others", prefix="o")
    to_others = {"lists": ["Others"]}
    for name, fields in (
        ("Draft", {}), ("Under way", {}), ("Without them", {**to_others, "exclude_lists": ["Customers"]}),
        ("Cancelled", {}), ("To others", to_others), ("Thrown away", {}),
        ("By a rule", {**to_others, "segments": ["Buyers"]}),
    ):  # fmt: skip
        if name == "By a rule":
            async with world.db.write(world.scope) as tx:
                rule = parse("list in (Others, Customers)")
                await saved.add(tx, world.scope, name="Buyers", rule=rule, now=NOON)
        campaign_id = await world.draft(name=name, **fields)
        if name in ("Under way", "Cancelled", "By a rule"):
            await world.launch(campaign_id, expand=name != "By a rule")
        async with world.db.write(world.scope) as tx:
            if name == "Cancelled":
                await control.cancel(tx, world.scope, campaign_id=campaign_id, now=NOON)
            if name == "Thrown away":
                await campaigns.delete(tx, world.scope, campaign_id=campaign_id, now=NOON)
    async with world.db.write(world.scope) as tx:
        who = world.scope
        await saved.add(tx, who, name="Named so", rule=parse("first_name = Customers"), now=NOON)
        for name in ("Customers", "Others"):
            form = FormFields(name=f"{name}' site", lists=[name])
            await forms.create_form(tx, who, form, organisation="Acme", now=NOON)
        asked = ImportRequest(Path("people.csv"), "Customers")
        up = await queue_upload(tx, who, asked, name="people.csv", now=NOON)
        wants = [
            BulkRequest(Act.ADD_TO_LIST, "Customers", chosen=Filter()),
            BulkRequest(Act.DELETE, chosen=Filter(list_id=found.id)),
            BulkRequest(Act.TAG, "Customers", rule=parse("list = Others")),
        ]
        adds, deletes, _tags = [await bulk.request_bulk(tx, who, each, now=NOON) for each in wants]
        out = await exports.queue(tx, who, Choice(list_name="Customers"), Format.CSV, clock=world.clock)
    assert await used_by(world, found) == [
        "the campaign By a rule", "the campaign Draft", "the campaign Under way", "the campaign Without them",
        "the segment Buyers", "the form Customers' site", f"job {up.id} (upload)", f"job {adds.id} (bulk)",
        f"job {deletes.id} (bulk)", f"job {out.id} (export)",
    ]  # fmt: skip
    async with world.db.read(stranger) as tx:
        assert await uses(tx, stranger, found) == []
    with pytest.raises(
        Refused, match=r"^Customers is used by the campaign By a rule, .* and 5 more; take it out"
    ):
        await delete(world, found)
    assert (await the_list(world)).deleted_at is None
    for job in (up, adds, deletes, out):
        async with world.db.write(world.scope) as tx:
            await jobs.cancel(tx, world.scope, job_id=JobId(job.id or 0), now=NOON)
    assert await used_by(world, found) == [
        "the campaign By a rule", "the campaign Draft", "the campaign Under way", "the campaign Without them",
        "the segment Buyers", "the form Customers' site",
    ]  # fmt: skip


async def test_a_campaign_that_was_sent_keeps_its_list_while_a_message_is_in_doubt(world: World) -> None:
    """Afterwards it is named in its report still; dead letters of it are kept with the server's words."""
    found, campaign_id = await the_list(world), await world.draft()
    await world.launch(campaign_id)
    async with world.db.write(world.scope) as tx:
        tasks = await claim(
            tx, world.scope, campaign_id=campaign_id, claim_token="t", owner="o", limit=9, now=NOON
        )
        first, second, *others = tasks
        done = [outcome.doubtful(first, "never read"), outcome.failed(second, FULL)]
        done += [outcome.sent(task, "250 ok") for task in others]
        await outcome.record(
            tx, world.scope, campaign_id=campaign_id, claim_token="t", outcomes=done, now=NOON
        )
    await finish.finish(world.db, world.scope, campaign_id=campaign_id, now=NOON)
    assert await used_by(world, found) == ["messages in doubt of the campaign Spring"]
    with pytest.raises(
        Refused, match="messages in doubt of the campaign Spring; take it out there or let that end"
    ):
        await delete(world, found)
    async with world.db.write(world.scope) as tx:
        await doubts.settle(tx, world.scope, task_ids=[first.id], accepted=True, now=NOON)
    await delete(world, found)
    await chores(world)
    with pytest.raises(Conflict, match="campaign Spring has no list any more and sends no more"):
        await requeue(world, Chosen(campaign_id=campaign_id))
    assert await requeue(world, Chosen()) == retry.Requeued(0, 1)
    async with world.db.write(world.scope) as tx:
        campaign = await campaigns.get(tx, world.scope, campaign_id=campaign_id)
        assert (await campaigns.describe(tx, world.scope, campaign)).lists == ["Customers"]


async def requeue(world: World, chosen: Chosen) -> retry.Requeued:
    async with world.db.write(world.scope) as tx:
        return await retry.requeue(tx, world.scope, chosen, now=NOON)


async def test_an_import_into_it_is_not_gone_on_with(world: World, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email\na@example.org\n")
    around = Surroundings(
        db=world.db, clock=world.clock, data_dir=tmp_path, hash_key=world.hash_key, cancelled=lambda: True
    )
    begun = await import_file(around, world.scope, ImportRequest(path, "New"))
    job_id, found = JobId(begun.job or 0), await the_list(world, "New")
    async with world.db.write(world.scope) as tx:
        await jobs.start(tx, world.scope, job_id=job_id, now=NOON)  # as one whose process was killed
    assert await used_by(world, found) == [f"job {job_id} (import)"]
    async with world.db.write(world.scope) as tx:
        await jobs.cancel(tx, world.scope, job_id=job_id, now=NOON)
    await delete(world, found)
    with pytest.raises(Conflict, match="was deleted; import the file anew"):
        await resume(replace(around, cancelled=lambda: False), world.scope, job_id=job_id)
    async with world.db.read(world.scope) as tx:
        counted = sa.select(sa.func.count()).where(tenant_of(ListMember) == world.scope.tenant_id)
        assert await tx.scalar(counted) == 5
        assert (await jobs.get(tx, world.scope, job_id=job_id)).state == "cancelled"


async def waiting(tx: WriteTx, other: asyncio.Task[Any]) -> None:
    """Until the other waits for what this transaction has locked, or does not."""
    told = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not other.done() and not await tx.scalar(sa.text(told)):
        await tx.execute(sa.text("SELECT pg_stat_clear_snapshot()"))  # else it is as it was at first
        await asyncio.sleep(0.01)


async def make_form(tx: WriteTx, world: World) -> None:
    await forms.create_form(
        tx, world.scope, FormFields(name="Site", lists=["Customers"]), organisation="Acme", now=NOON
    )


async def test_whoever_takes_a_list_up_at_the_same_moment_has_it_or_does_not_find_it(world: World) -> None:
    if not world.db.postgres:
        pytest.skip("SQLite has one writer at a time")
    found = await the_list(world)
    async with world.db.write(world.scope) as tx:
        await make_form(tx, world)
        deleting = asyncio.create_task(delete(world, found))
        await waiting(tx, deleting)
    with pytest.raises(Refused, match="used by the form Site"):
        await deleting
    async with world.db.write(world.scope) as tx:
        form = await forms.get_form(tx, world.scope, name="Site")
        await forms.delete_form(tx, world.scope, form_id=form.id or 0, now=NOON)

    async def take_up() -> None:
        async with world.db.write(world.scope) as write:
            await make_form(write, world)

    async with world.db.write(world.scope) as tx:
        await list_removal.delete_list(tx, world.scope, list_id=found.id or 0, now=NOON)
        await tx.flush()
        taking = asyncio.create_task(take_up())
        await waiting(tx, taking)
    with pytest.raises(NotFound, match="no list called Customers"):
        await taking


def test_every_column_that_keeps_lists_is_known() -> None:
    """One that comes later is to be looked at by `uses`, or to be known as one that need not be."""
    keeping = {
        f"{table.name}.{column.name}"
        for table in table_of(ContactList).metadata.sorted_tables
        for column in table.columns
        if "list" in column.name
    }
    assert keeping == {
        "campaigns.list_ids", "campaigns.excluded_list_ids", "forms.list_ids",  # looked at
        "list_members.list_id",  # who is taken off
        "consents.list_id", "signups.list_ids",  # kept: what people said, and links that end by themselves
    }  # fmt: skip
