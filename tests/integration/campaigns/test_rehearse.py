"""What is rehearsed is what the worker would send."""

import dataclasses

import pytest

from mailengine.core.errors import InvalidInput, NotFound, Refused
from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import owned
from mailengine.domain.campaigns import rehearse
from mailengine.domain.content.values import Person
from mailengine.domain.delivery.claim import running_campaigns
from mailengine.domain.delivery.compose import Composed
from mailengine.domain.delivery.rehearse import Trial, send_template
from mailengine.domain.delivery.sources import load_composer
from mailengine.models import EmailTask, Relay, Snapshot
from support.world import NOON, World

pytestmark = pytest.mark.anyio


async def rehearsed(world: World, campaign_id: CampaignId, address: str, scope: Scope) -> Composed:
    return await rehearse.rehearse(
        world.db, scope, campaign_id=campaign_id, address=address,
        keyring=world.keyring, settings=world.settings, now=NOON,
    )  # fmt: skip


async def test_a_draft_is_rehearsed_without_a_row(world: World) -> None:
    campaign_id = await world.draft()
    message = await rehearsed(world, campaign_id, "u1@example.org", world.scope)
    assert b"Subject: News for Ann" in message.content
    async with world.db.read(world.scope) as tx:
        for model in (Snapshot, EmailTask):
            assert list(await tx.scalars(owned(model, world.scope))) == []


async def test_a_launched_campaign_is_rehearsed_from_its_snapshot_for_the_contacts_task(world: World) -> None:
    campaign_id = await world.draft()
    await world.launch(campaign_id)
    task = (await world.tasks())["u1@example.org"]
    instance = InstanceScope("test")
    async with world.db.read(instance) as tx:
        (campaign,) = await running_campaigns(tx, instance)
    composer = await load_composer(world.db, campaign, world.keyring, world.settings)
    person = Person("u1@example.org", "Ann", "Müller 1", {})
    sent = composer.compose(task.id or 0, task.attempts, person, NOON)
    message = await rehearsed(world, campaign_id, "u1@example.org", world.scope)
    assert dataclasses.asdict(message) == dataclasses.asdict(sent)


async def test_another_tenant_rehearses_nothing(world: World, stranger: Scope) -> None:
    campaign_id = await world.draft()
    with pytest.raises(NotFound):
        await rehearsed(world, campaign_id, "u1@example.org", stranger)
    trial = Trial("Template of Spring", "me@example.com", sender="news@example.org")
    with pytest.raises(NotFound):
        await send_template(
            world.db, stranger, trial, keyring=world.keyring, settings=world.settings, now=NOON
        )


async def test_a_test_message_needs_a_sender_and_a_relay(world: World) -> None:
    await world.draft()
    trial = Trial("Template of Spring", "me@example.com")
    with pytest.raises(InvalidInput, match="--from"):
        await send_template(
            world.db, world.scope, trial, keyring=world.keyring, settings=world.settings, now=NOON
        )
    async with world.db.write(world.scope) as tx:
        for relay in await tx.scalars(owned(Relay, world.scope)):
            await tx.delete(relay)
    trial = dataclasses.replace(trial, sender="news@example.org")
    with pytest.raises(Refused, match="relay add"):
        await send_template(
            world.db, world.scope, trial, keyring=world.keyring, settings=world.settings, now=NOON
        )
