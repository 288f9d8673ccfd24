"""Launch fixes what is sent; expansion gives everybody who may be mailed exactly one task."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.ids import CampaignId, ListId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.domain.campaigns import campaigns, control, expand, finish, launch, schedule
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.campaigns.checklist import gather, judge
from mailengine.domain.contacts import contacts, suppression
from mailengine.domain.contacts.lists import create_list, join
from mailengine.domain.contacts.suppression import Target
from mailengine.domain.content import templates
from mailengine.models import (
    AuditEntry,
    Campaign,
    CampaignState,
    Contact,
    EmailTask,
    Job,
    JobState,
    MemberState,
    Snapshot,
    SuppressionKind,
    TaskStatus,
    Tenant,
)
from support.world import INSTANCE, NOON, World

pytestmark = pytest.mark.anyio


async def snapshot_of(world: World, campaign_id: CampaignId) -> Snapshot:
    async with world.db.read(world.scope) as tx:
        found = await tx.scalar(owned(Snapshot, world.scope).where(col(Snapshot.campaign_id) == campaign_id))
    assert found is not None
    return found


async def campaign_of(world: World, campaign_id: CampaignId) -> Campaign:
    async with world.db.read(world.scope) as tx:
        return await campaigns.get(tx, world.scope, campaign_id=campaign_id)


async def test_what_is_edited_after_the_launch_changes_nothing(world: World) -> None:
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    before = await snapshot_of(world, campaign_id)
    campaign = await campaign_of(world, campaign_id)
    prepared = await templates.prepare("<p>Other</p>", known=())
    async with world.db.write(world.scope) as tx:
        await templates.update(tx, world.scope, template_id=campaign.template_id, prepared=prepared, now=NOON)
        await templates.delete(tx, world.scope, template_id=campaign.template_id, now=NOON)
        await tx.execute(sa.update(Tenant).values(name="New name", postal_address="New street"))
    after = await snapshot_of(world, campaign_id)
    assert after.model_dump() == before.model_dump()
    assert after.settings == {"organisation": "Acme", "postal_address": "Street 1, Köln"}
    with pytest.raises(Conflict, match="duplicate it instead"):
        async with world.db.write(world.scope) as tx:
            await campaigns.update(
                tx, world.scope, campaign_id=campaign_id, fields=Fields(subject="Other"), now=NOON
            )


async def test_a_draft_that_was_changed_while_it_was_checked_is_not_sent(world: World) -> None:
    campaign_id = await world.draft()
    async with world.db.read(world.scope) as tx:
        facts = await gather(tx, world.scope, campaign_id=campaign_id, now=NOON)
    assert not [item for item in judge(facts) if item.level == "error"]
    built = await launch.snapshots.build(facts.sources, track_opens=True, track_clicks=True)
    async with world.db.write(world.scope) as tx:
        later = NOON + timedelta(seconds=1)
        await campaigns.update(
            tx, world.scope, campaign_id=campaign_id, fields=Fields(subject="Other"), now=later
        )
    with pytest.raises(Conflict, match="was changed while it was checked"):
        async with world.db.write(world.scope) as tx:
            await launch._store(tx, world.scope, facts, built, NOON)
    assert (await campaign_of(world, campaign_id)).state == CampaignState.DRAFT


async def test_a_campaign_starts_once(world: World) -> None:
    campaign_id = await world.draft()
    launched = await world.launch(campaign_id)
    assert launched.audience == 5
    with pytest.raises(Conflict, match="is sending"):
        await world.launch(campaign_id)
    async with world.db.read(world.scope) as tx:
        actions = list(await tx.scalars(sa.select(col(AuditEntry.action)).where(
            tenant_of(AuditEntry) == world.scope.tenant_id
        )))  # fmt: skip
    assert actions.count("campaign.launch") == 1


async def test_who_is_on_two_lists_gets_one_message(world: World) -> None:
    campaign_id = await world.draft()
    async with world.db.write(world.scope) as tx:
        second = await create_list(tx, world.scope, name="VIP", now=NOON)
        everybody = list(await tx.scalars(owned(Contact, world.scope)))
        for contact in everybody[:3]:
            await join(
                tx, world.scope, list_id=ListId(second.id or 0), contact_id=contacts.contact_id(contact),
                state=MemberState.SUBSCRIBED, now=NOON,
            )  # fmt: skip
        await campaigns.update(
            tx, world.scope, campaign_id=campaign_id, fields=Fields(lists=["Customers", "VIP"]), now=NOON
        )
    assert (await world.launch(campaign_id)).audience == 5
    assert len(await world.tasks()) == 5
    assert (await world.totals(campaign_id)).tasks == 5


async def test_pages_and_repeats_add_nobody_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "PAGE_CONTACTS", 2)
    campaign_id = await world.draft()
    await world.launch(campaign_id, expand=False)
    assert await expand.expand_page(
        world.db, world.scope, campaign_id=campaign_id, hash_key=world.hash_key, now=NOON
    )
    assert (await world.totals(campaign_id)).tasks == 2
    async with world.db.write(world.scope) as tx:  # a cursor that was lost must not double anyone
        await tx.execute(
            sa.update(Campaign).where(tenant_of(Campaign) == world.scope.tenant_id).values(expand_cursor=0)
        )
    await world.expand(campaign_id)
    assert (await world.totals(campaign_id)).tasks == len(await world.tasks()) == 5
    async with world.db.read(world.scope) as tx:
        (job,) = await tx.scalars(owned(Job, world.scope))
    assert (job.state, job.done) == (JobState.DONE, 5)


async def test_the_audience_is_who_may_be_mailed_when_their_page_is_expanded(world: World) -> None:
    """Between launch and expansion some join and some leave; after it nobody joins any more."""
    campaign_id = await world.draft()
    await world.launch(campaign_id, expand=False)

    async def add(address: str) -> None:
        async with world.db.write(world.scope) as tx:
            found = await campaigns.get_list(tx, world.scope, name="Customers")
            await contacts.add(
                tx, world.scope, contacts.check_contact(address), now=NOON, hash_key=world.hash_key,
                list_id=ListId(found.id or 0),
            )  # fmt: skip

    await add("early@example.org")
    async with world.db.write(world.scope) as tx:
        await contacts.soft_delete(tx, world.scope, address="u0@example.org", now=NOON)
    await world.expand(campaign_id)
    await add("late@example.org")
    assert not await expand.expand_page(
        world.db, world.scope, campaign_id=campaign_id, hash_key=world.hash_key, now=NOON
    )
    tasks = await world.tasks()
    assert "early@example.org" in tasks
    assert not {"u0@example.org", "late@example.org"} & set(tasks)


async def test_a_hash_on_the_suppression_list_is_looked_up_at_launch(world: World, stranger: Scope) -> None:
    """Even where a contact is subscribed beside it, which no way in allows; another tenant's says nothing here."""
    campaign_id = await world.draft()
    for scope, address in ((world.scope, "u1@example.org"), (stranger, "u2@example.org")):
        hashed = Target(SuppressionKind.HASH, suppression.erased_hash(world.hash_key, address))
        async with world.db.write(scope) as tx:
            await suppression.suppress(tx, scope, hashed, reason="erased", now=NOON)
    await world.launch(campaign_id)
    assert set(await world.tasks()) == {f"u{number}@example.org" for number in (0, 2, 3, 4)}
    assert (await world.totals(campaign_id)).tasks == 4


async def test_the_address_of_a_task_is_frozen(world: World) -> None:
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(Contact)
            .where(tenant_of(Contact) == world.scope.tenant_id, col(Contact.email) == "u0@example.org")
            .values(email="moved@example.org", email_key="moved@example.org")
            .execution_options(synchronize_session=False)
        )
    assert "u0@example.org" in await world.tasks()


_TO = {
    "launch": CampaignState.SENDING,
    "pause": CampaignState.PAUSED,
    "resume": CampaignState.SENDING,
    "cancel": CampaignState.CANCELLED,
}
_ALLOWED = {
    ("draft", "launch"), ("scheduled", "launch"),
    ("sending", "pause"), ("sending", "cancel"), ("paused", "resume"), ("paused", "cancel"),
}  # fmt: skip


async def in_state(world: World, state: str) -> CampaignId:
    campaign_id = await world.draft(name=state)
    if state == "draft":
        return campaign_id
    if state == "scheduled":
        at = NOON + timedelta(hours=1)
        await schedule.schedule(world.db, world.scope, campaign_id=campaign_id, at=at, zone="UTC", now=NOON)
        return campaign_id
    await world.launch(campaign_id)
    if state == "sent":
        async with world.db.write(world.scope) as tx:
            await tx.execute(
                sa.update(EmailTask)
                .where(
                    tenant_of(EmailTask) == world.scope.tenant_id, col(EmailTask.campaign_id) == campaign_id
                )
                .values(status=TaskStatus.SKIPPED, finished_at=NOON)
            )
            await tx.execute(
                sa.text("UPDATE campaign_totals SET skipped = tasks WHERE campaign_id = :id"),
                {"id": campaign_id},
            )
        await finish.finish(world.db, world.scope, campaign_id=campaign_id, now=NOON)
    elif state in ("paused", "cancelled"):
        act = control.pause if state == "paused" else control.cancel
        async with world.db.write(world.scope) as tx:
            await act(tx, world.scope, campaign_id=campaign_id, now=NOON)
    return campaign_id


@pytest.mark.parametrize("act", list(_TO))
async def test_only_the_ways_of_the_table_can_be_gone(world: World, act: str) -> None:
    async def go(campaign_id: CampaignId) -> None:
        if act == "launch":
            await world.launch(campaign_id, expand=False)
            return
        async with world.db.write(world.scope) as tx:
            await getattr(control, act)(tx, world.scope, campaign_id=campaign_id, now=NOON)

    for state in CampaignState:
        campaign_id = await in_state(world, state.value)
        assert (await campaign_of(world, campaign_id)).state == state
        if (state.value, act) in _ALLOWED:
            await go(campaign_id)
            assert (await campaign_of(world, campaign_id)).state == _TO[act]
        else:
            with pytest.raises(Conflict):
                await go(campaign_id)
            assert (await campaign_of(world, campaign_id)).state == state


async def test_a_campaign_with_messages_that_wait_does_not_end(world: World) -> None:
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    await finish.finish(world.db, world.scope, campaign_id=campaign_id, now=NOON)
    assert (await campaign_of(world, campaign_id)).state == CampaignState.SENDING
    async with world.db.read(INSTANCE) as tx:
        assert await finish.finished(tx, INSTANCE) == []


async def test_a_cancelled_campaign_skips_what_waits(world: World) -> None:
    campaign_id = await in_state(world, "cancelled")
    async with world.db.read(INSTANCE) as tx:
        assert await finish.cancelled(tx, INSTANCE) == [(world.scope.tenant_id, campaign_id)]
    assert await finish.skip_page(world.db, world.scope, campaign_id=campaign_id, now=NOON) == 5
    assert {task.status for task in (await world.tasks()).values()} == {TaskStatus.SKIPPED}
    assert (await world.totals(campaign_id)).skipped == 5


@pytest.mark.parametrize("act", ["pause", "resume", "cancel"])
async def test_another_tenant_controls_nothing(world: World, stranger: Scope, act: str) -> None:
    campaign_id = await in_state(world, "sending")
    with pytest.raises(NotFound):
        async with world.db.write(stranger) as tx:
            await getattr(control, act)(tx, stranger, campaign_id=campaign_id, now=NOON)
    async with world.db.read(stranger) as tx:
        with pytest.raises(NotFound):
            await campaigns.get_by_name(tx, stranger, name="sending")
        assert (await campaigns.list_campaigns(tx, stranger)).total == 0
