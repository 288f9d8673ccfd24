"""On PostgreSQL a launch right after an import finds tables without statistics: its plans must not depend on them."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.core.ids import CampaignId
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from support.world import World, a_world

pytestmark = [pytest.mark.anyio, pytest.mark.peer("postgres")]

COUNT = 1_500
_READ = sa.text(
    "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
    " WHERE relname IN ('contacts', 'list_members')"
)


async def test_an_expansion_reads_each_contact_a_few_times(postgres_dsn: str, tmp_path: Path) -> None:
    """Rows read, not seconds: going through the list again for each contact would read millions."""
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        await world.people(COUNT)
        campaign_id = await _launched(world)
        before = await _read(world)
        await world.expand(campaign_id)
        assert 0 < await _read(world) - before < COUNT * 20
        assert len(await world.tasks()) == COUNT


async def test_so_do_the_checks_of_a_launch_after_an_import(postgres_dsn: str, tmp_path: Path) -> None:
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        await _statistics_of_nobody(world)
        await _imported(world, tmp_path)
        before = await _read(world)
        await world.expand(await _launched(world))
        assert 0 < await _read(world) - before < COUNT * 20
        assert len(await world.tasks()) == COUNT


async def _imported(world: World, folder: Path) -> None:
    path = folder / "contacts.csv"
    path.write_text("email\n" + "".join(f"person{number}@example.org\n" for number in range(COUNT)))
    hash_key = world.keyring.derive_for_ever(HASH_PURPOSE)
    around = Surroundings(db=world.db, clock=world.clock, data_dir=folder, hash_key=hash_key)
    await import_file(around, world.scope, ImportRequest(path, list_name="Customers"))


async def _launched(world: World) -> CampaignId:
    await world.relay(2525)
    campaign_id = await world.draft()
    await world.launch(campaign_id, expand=False)
    return campaign_id


async def _statistics_of_nobody(world: World) -> None:
    async with world.db.writer.begin() as connection:
        await connection.execute(sa.text("ANALYZE"))


async def _read(world: World) -> int:
    """Rows of contacts and members that were read so far, by this connection and by those before it."""
    async with world.db.writer.begin() as connection:
        await connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    async with world.db.writer.begin() as connection:
        return int((await connection.execute(_READ)).scalar_one())
