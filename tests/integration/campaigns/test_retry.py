"""Dead letters and doubts go back into the queue; after each act the ledger adds up."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, NotFound
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.domain.campaigns import campaigns, control, finish, retry
from mailengine.domain.delivery import dead_letters, doubts, outcome
from mailengine.domain.delivery.claim import ClaimedTask, claim
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.domain.integrity import violations
from mailengine.mail.replies import judge, parse_reply
from mailengine.models import AuditEntry, Contact, ContactState, TaskStatus
from support.world import INSTANCE, NOON, World

pytestmark = pytest.mark.anyio

FULL = judge(parse_reply("552 5.2.2 mailbox full"), "rcpt")
GONE = judge(parse_reply("550 5.1.1 no such user"), "rcpt")


@pytest.fixture
async def sent(world: World) -> CampaignId:
    """A finished campaign: two refused for a full mailbox, one unknown, one in doubt, one accepted."""
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    fates = [
        lambda task: outcome.failed(task, FULL),
        lambda task: outcome.failed(task, FULL),
        lambda task: outcome.failed(task, GONE),
        lambda task: outcome.doubtful(task, "the answer was never read"),
        lambda task: outcome.sent(task, "250 ok"),
    ]
    async with world.db.write(world.scope) as tx:
        tasks: list[ClaimedTask] = await claim(
            tx, world.scope, campaign_id=campaign_id, claim_token="t", owner="o", limit=9, now=NOON
        )
        written = await outcome.record(
            tx, world.scope, campaign_id=campaign_id, claim_token="t",
            outcomes=[fate(task) for fate, task in zip(fates, tasks, strict=True)], now=NOON,
        )  # fmt: skip
    assert written == 5
    await finish.finish(world.db, world.scope, campaign_id=campaign_id, now=NOON)
    await in_order(world, campaign_id, "sent", sent=1, failed=3, doubt=1)
    return campaign_id


async def in_order(world: World, campaign_id: CampaignId, state: str, **expected: int) -> None:
    """Totals and state are as said, and every invariant holds."""
    totals = await world.totals(campaign_id)
    counted = {name: getattr(totals, name) for name in ("sent", "failed", "skipped", "doubt")}
    assert counted == {"sent": 0, "failed": 0, "skipped": 0, "doubt": 0, **expected}
    async with world.db.read(world.scope) as tx:
        assert (await campaigns.get(tx, world.scope, campaign_id=campaign_id)).state == state
    async with world.db.read(INSTANCE) as tx:
        assert await violations(tx, INSTANCE) == []


async def in_doubt(world: World) -> int:
    return next(task.id or 0 for task in (await world.tasks()).values() if task.status == TaskStatus.DOUBT)


async def requeue(world: World, chosen: Chosen) -> retry.Requeued:
    async with world.db.write(world.scope) as tx:
        return await retry.requeue(tx, world.scope, chosen, now=NOON)


async def test_letters_of_a_cause_are_tried_again_and_their_campaign_with_them(
    world: World, sent: CampaignId
) -> None:
    assert await requeue(world, Chosen(cause="mailbox_full")) == retry.Requeued(2, 0)
    await in_order(world, sent, "sending", sent=1, failed=1, doubt=1)
    async with world.db.write(world.scope) as tx:
        again = await claim(tx, world.scope, campaign_id=sent, claim_token="u", owner="o", limit=9, now=NOON)
        assert [(task.attempts, task.first_tried_at) for task in again] == [(1, None), (1, None)]
        await outcome.record(
            tx, world.scope, campaign_id=sent, claim_token="u",
            outcomes=[outcome.sent(task, "250 ok") for task in again], now=NOON,
        )  # fmt: skip
    await finish.finish(world.db, world.scope, campaign_id=sent, now=NOON)
    await in_order(world, sent, "sent", sent=3, failed=1, doubt=1)


async def test_a_letter_to_a_contact_who_bounced_is_kept_with_its_words(
    world: World, sent: CampaignId
) -> None:
    assert await requeue(world, Chosen(campaign_id=sent)) == retry.Requeued(2, 1)
    (kept,) = await world.dead_letters()
    assert (kept.cause, kept.reply) == ("recipient", "no such user")
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(Contact)
            .where(tenant_of(Contact) == world.scope.tenant_id, col(Contact.state) == ContactState.BOUNCED)
            .values(state=ContactState.SUBSCRIBED)
            .execution_options(synchronize_session=False)
        )
    assert await requeue(world, Chosen(ids=[kept.id or 0])) == retry.Requeued(1, 0)
    await in_order(world, sent, "sending", sent=1, doubt=1)


async def test_a_cancelled_campaign_stays_ended(world: World, sent: CampaignId) -> None:
    await requeue(world, Chosen(cause="mailbox_full"))
    task_id = await in_doubt(world)
    async with world.db.write(world.scope) as tx:
        await control.cancel(tx, world.scope, campaign_id=sent, now=NOON)
    with pytest.raises(Conflict, match="was cancelled"):
        await requeue(world, Chosen(campaign_id=sent))
    assert await requeue(world, Chosen()) == retry.Requeued(0, 1)
    with pytest.raises(Conflict, match="was cancelled"):
        async with world.db.write(world.scope) as tx:
            await retry.resend(tx, world.scope, task_ids=[task_id], now=NOON)
    await in_order(world, sent, "cancelled", sent=1, failed=1, doubt=1)


async def test_a_paused_campaign_stays_paused(world: World, sent: CampaignId) -> None:
    await requeue(world, Chosen(cause="mailbox_full"))
    async with world.db.write(world.scope) as tx:
        await control.pause(tx, world.scope, campaign_id=sent, now=NOON)
        assert await retry.resend(tx, world.scope, task_ids=[await in_doubt(world)], now=NOON) == 1
    await in_order(world, sent, "paused", sent=1, failed=1)


async def test_a_doubt_that_arrived_counts_as_sent(world: World, sent: CampaignId) -> None:
    async with world.db.write(world.scope) as tx:
        task_id = await in_doubt(world)
        assert await doubts.settle(tx, world.scope, task_ids=[task_id], accepted=True, now=NOON) == 1
    await in_order(world, sent, "sent", sent=2, failed=3)
    with pytest.raises(NotFound):
        async with world.db.write(world.scope) as tx:
            await doubts.settle(tx, world.scope, task_ids=[task_id], accepted=True, now=NOON)


async def test_a_doubt_that_is_given_up_becomes_a_dead_letter(world: World, sent: CampaignId) -> None:
    async with world.db.write(world.scope) as tx:
        await doubts.settle(tx, world.scope, task_ids=[await in_doubt(world)], accepted=False, now=NOON)
    await in_order(world, sent, "sent", sent=1, failed=4)
    (letter,) = [letter for letter in await world.dead_letters() if letter.cause == doubts.CAUSE]
    assert letter.reply == "the answer was never read"
    assert await requeue(world, Chosen(cause=doubts.CAUSE)) == retry.Requeued(1, 0)


async def test_a_doubt_is_sent_again_when_a_person_says_so(world: World, sent: CampaignId) -> None:
    async with world.db.write(world.scope) as tx:
        assert await retry.resend(tx, world.scope, task_ids=[await in_doubt(world)], now=NOON) == 1
    await in_order(world, sent, "sending", sent=1, failed=3)
    async with world.db.read(world.scope) as tx:
        entries = list(await tx.scalars(owned(AuditEntry, world.scope)))
    assert "doubt.resend" in {entry.action for entry in entries}


async def test_of_two_who_settle_the_same_doubt_one_does(world: World, sent: CampaignId) -> None:
    task_id = await in_doubt(world)

    async def give_up() -> int:
        async with world.db.write(world.scope) as tx:
            return await doubts.settle(tx, world.scope, task_ids=[task_id], accepted=False, now=NOON)

    ends = await asyncio.gather(*(give_up() for _ in range(4)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NotFound", "NotFound", "NotFound", "int"]
    await in_order(world, sent, "sent", sent=1, failed=4)
    assert len([letter for letter in await world.dead_letters() if letter.cause == doubts.CAUSE]) == 1


async def test_one_unknown_id_changes_nothing(world: World, sent: CampaignId) -> None:
    task_id = await in_doubt(world)
    with pytest.raises(NotFound):
        async with world.db.write(world.scope) as tx:
            await doubts.settle(tx, world.scope, task_ids=[task_id, 999_999], accepted=True, now=NOON)
    await in_order(world, sent, "sent", sent=1, failed=3, doubt=1)


async def test_causes_come_with_a_servers_words(world: World, sent: CampaignId) -> None:
    async with world.db.read(world.scope) as tx:
        found = await dead_letters.causes(tx, world.scope, campaign_id=sent)
    assert [(each.cause, each.count, each.code, each.words) for each in found] == [
        ("mailbox_full", 2, 552, "mailbox full"),
        ("recipient", 1, 550, "no such user"),
    ]


async def test_another_tenant_sees_and_moves_nothing(world: World, sent: CampaignId, stranger: Scope) -> None:
    task_id = await in_doubt(world)
    letter_id = (await world.dead_letters())[0].id or 0
    async with world.db.write(stranger) as tx:
        assert (await dead_letters.list_letters(tx, stranger, Chosen())).total == 0
        assert (await doubts.list_doubts(tx, stranger)).total == 0
        assert await dead_letters.causes(tx, stranger, campaign_id=sent) == []
        assert await retry.requeue(tx, stranger, Chosen(ids=[letter_id]), now=NOON) == retry.Requeued(0, 0)
        with pytest.raises(NotFound):
            await dead_letters.get_letter(tx, stranger, letter_id=letter_id)
        with pytest.raises(NotFound):
            await doubts.settle(tx, stranger, task_ids=[task_id], accepted=True, now=NOON)
        with pytest.raises(NotFound):
            await retry.resend(tx, stranger, task_ids=[task_id], now=NOON)
    await in_order(world, sent, "sent", sent=1, failed=3, doubt=1)


async def test_a_viewer_may_look_and_not_touch(world: World, sent: CampaignId) -> None:
    viewer = Scope(world.scope.tenant_id, "user:9", frozenset({Grant.READ}))
    async with world.db.write(viewer) as tx:
        assert (await dead_letters.list_letters(tx, viewer, Chosen())).total == 3
        with pytest.raises(Forbidden):
            await retry.requeue(tx, viewer, Chosen(), now=NOON)
        with pytest.raises(Forbidden):
            await doubts.settle(tx, viewer, task_ids=[1], accepted=True, now=NOON)


async def test_pages_of_letters_are_newest_first(world: World, sent: CampaignId) -> None:
    async with world.db.read(world.scope) as tx:
        page = await dead_letters.list_letters(tx, world.scope, Chosen(campaign_id=sent))
    ids = [letter.id or 0 for letter in page.items]
    assert ids == sorted(ids, reverse=True)
