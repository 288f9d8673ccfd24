"""On PostgreSQL a launch right after an import finds tables without statistics: the plan must not depend on them."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from support.world import a_world

pytestmark = [pytest.mark.anyio, pytest.mark.peer("postgres")]

COUNT = 1_500
_READ = sa.text(
    "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
    " WHERE relname IN ('contacts', 'list_members')"
)


async def test_each_contact_is_read_a_few_times(postgres_dsn: str, tmp_path: Path) -> None:
    """Rows read, not seconds: going through the list again for each contact would read millions."""
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        await world.people(COUNT)
        await world.relay(2525)
        campaign_id = await world.draft()
        await world.launch(campaign_id, expand=False)
        read: list[int] = []

        def at_commit(connection: sa.Connection) -> None:
            read.append(int(connection.execute(_READ).scalar_one()))

        sa.event.listen(world.db.writer.sync_engine, "commit", at_commit)
        await world.expand(campaign_id)
        assert len(await world.tasks()) == COUNT
    # On the pages of a database that was used before the plan may read a few times more.
    assert 0 < max(read) < COUNT * 50
