"""Writing an outcome costs the same at a campaign's end as at its beginning: the row is found by its key alone, also
where PostgreSQL has no statistics and what was claimed before is not vacuumed yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from peers.sink import CountingSink
from support.world import INSTANCE, a_world, running

pytestmark = [pytest.mark.anyio, pytest.mark.peer("postgres")]


async def test_outcomes_are_written_by_their_key(
    postgres_dsn: str, tmp_path: Path, counting_sink: Callable[..., CountingSink]
) -> None:
    async with a_world(postgres_dsn, tmp_path / "data") as world:
        await world.people(1000)
        await world.relay(counting_sink().port)
        campaign = await world.draft()
        await world.launch(campaign)
        said: list[tuple[str, Any]] = []

        def listen(
            _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool
        ) -> None:
            if "jsonb_to_recordset" in statement and statement.startswith("UPDATE email_tasks"):
                said.append((statement, values))

        sa.event.listen(world.db.writer.sync_engine, "before_cursor_execute", listen)
        async with running(world.worker()):
            await world.settled(campaign)
        assert said
        async with world.db.read(INSTANCE) as tx:
            plan = await (await tx.connection()).exec_driver_sql("EXPLAIN " + said[-1][0], said[-1][1])
            lines = [str(row[0]) for row in plan]
    assert not any("ix_email_tasks" in line for line in lines), lines
