"""After a death: each claimed task gets the state that the evidence allows, and nothing in doubt goes out again."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.core.ids import CampaignId
from mailengine.domain.delivery import recover as recovery
from mailengine.domain.delivery.claim import LEASE, claim
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.recover import Owner, recover
from support.world import INSTANCE, World, a_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data") as made:
        made.wire_folder.mkdir(parents=True)
        yield made


@asynccontextmanager
async def claiming(world: World, owner: Owner) -> AsyncIterator[tuple[CampaignId, list[int]]]:
    """A launched campaign of five, all claimed under the token `t`; the claim commits with the block's end."""
    await world.people(5)
    await world.relay(2525)
    campaign = await world.draft()
    await world.launch(campaign)
    async with world.db.write(world.scope) as tx:
        tasks = await claim(
            tx,
            world.scope,
            campaign_id=campaign,
            claim_token="t",
            owner=str(owner),
            limit=5,
            now=world.clock.now(),
        )
        assert len(tasks) == 5
        yield campaign, [task.id for task in tasks]


async def _claimed(world: World, owner: Owner) -> tuple[CampaignId, list[int]]:
    async with claiming(world, owner) as claimed:
        return claimed


async def _recover(world: World) -> dict[str, str]:
    now = world.clock.now()
    await recover(world.db, INSTANCE, owner=world.owner, folder=world.wire_folder, now=now)
    return {email: task.status for email, task in (await world.tasks()).items()}


async def test_the_journal_decides_each_message(world: World) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    campaign, ids = await _claimed(world, world.owner)
    journal.fill(ids)
    journal.on_wire(0)
    journal.accepted(0, "250 2.0.0 Ok: queued as X1")
    journal.on_wire(1)
    journal.on_wire(2)
    journal.refused(2)
    assert await _recover(world) == dict.fromkeys(await _emails(world), "claimed")  # the owner still lives
    journal.abandon()
    assert await _recover(world) == {
        "u0@example.org": "sent",
        "u1@example.org": "doubt",
        "u2@example.org": "queued",
        "u3@example.org": "queued",
        "u4@example.org": "queued",
    }
    tasks = await world.tasks()
    assert tasks["u0@example.org"].external_msg_id == "250 2.0.0 Ok: queued as X1"
    assert tasks["u1@example.org"].last_reply == recovery.DOUBT_ON_WIRE
    totals = await world.totals(campaign)
    assert (totals.sent, totals.doubt) == (1, 1)
    assert list(world.wire_folder.iterdir()) == []


async def test_a_claim_that_was_never_named_goes_back(world: World) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    await _claimed(world, world.owner)
    journal.abandon()
    assert set((await _recover(world)).values()) == {"queued"}


async def test_a_missing_journal_is_a_doubt(world: World) -> None:
    await _claimed(world, world.owner)
    assert set((await _recover(world)).values()) == {"doubt"}


def _cut(count: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:-count]


@pytest.mark.parametrize(
    ("damage", "accepted"),
    [
        (_cut(1), 4),
        (_cut(128), 4),
        (_cut(128 * 2), 3),
        (_cut(128 * 5 + 8), 0),
        (lambda content: b"", 0),
        (lambda content: bytes(len(content)), 0),
        (lambda content: b"MEwire02" + content[8:], 0),
        (lambda content: content[:-128] + b"\xff" * 128, 4),
        (lambda content: content[:16] + (99).to_bytes(8, "little") + content[24:], 3),
    ],
    ids=[
        "a byte",
        "a slot",
        "two slots",
        "an id",
        "all",
        "zeroed",
        "another format",
        "a state",
        "another id",
    ],
)
async def test_a_damaged_journal_is_a_doubt_but_for_what_it_shows_as_accepted(
    world: World, damage: Callable[[bytes], bytes], accepted: int
) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    _, ids = await _claimed(world, world.owner)
    journal.fill(ids)
    for slot in range(4):
        journal.accepted(slot, "250 ok")
    journal.abandon()
    journal.path.write_bytes(damage(journal.path.read_bytes()))
    statuses = list((await _recover(world)).values())
    assert statuses.count("sent") == accepted
    assert statuses.count("doubt") == 5 - accepted
    assert [*world.wire_folder.iterdir()] == []


async def test_what_an_earlier_boot_claimed_is_in_doubt_but_for_what_was_accepted(world: World) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    _, ids = await _claimed(world, Owner(world.owner.node, "earlier!"))
    journal.fill(ids)
    journal.accepted(3, "250 ok")
    journal.abandon()
    statuses = await _recover(world)
    assert statuses.pop("u3@example.org") == "sent"
    assert set(statuses.values()) == {"doubt"}


async def test_another_machine_is_given_its_lease(world: World) -> None:
    await _claimed(world, Owner("another-machine", "b"))
    assert set((await _recover(world)).values()) == {"claimed"}
    world.clock.advance(LEASE + timedelta(seconds=1))
    assert set((await _recover(world)).values()) == {"doubt"}


async def test_a_copied_journal_of_another_machine_is_believed_when_its_lease_is_over(world: World) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    _, ids = await _claimed(world, Owner("another-machine", world.owner.boot))
    journal.fill(ids)
    journal.accepted(3, "250 ok")
    journal.abandon()
    assert set((await _recover(world)).values()) == {"claimed"}
    world.clock.advance(LEASE + timedelta(seconds=1))
    statuses = await _recover(world)
    assert statuses.pop("u3@example.org") == "sent"
    assert set(statuses.values()) == {"doubt"}
    assert list(world.wire_folder.iterdir()) == []


async def test_a_claim_that_commits_after_its_owner_died(postgres_dsn: str, tmp_path: Path) -> None:
    """The server may still be busy with the COMMIT of a worker that is dead: its journal is needed until then."""
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        world.wire_folder.mkdir(parents=True)
        journal = WireJournal(world.wire_folder, "t", room=5)
        async with claiming(world, world.owner):
            journal.abandon()
            assert set((await _recover(world)).values()) == {"queued"}  # as it was: nobody sees the claim yet
        assert set((await _recover(world)).values()) == {"queued"}
        assert list(world.wire_folder.iterdir()) == []


async def test_recovering_twice_changes_nothing(world: World) -> None:
    journal = WireJournal(world.wire_folder, "t", room=5)
    await _claimed(world, world.owner)
    journal.abandon()
    first = await _recover(world)
    assert await _recover(world) == first


async def _emails(world: World) -> list[str]:
    return list(await world.tasks())
