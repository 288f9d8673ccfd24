"""A world with people on a list, and a stranger's tenant in the same database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailengine.core.scope import Scope
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from support.tenancy_guard import attach
from support.world import INSTANCE, NOON, World, a_world


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path) as made:
        attach(made.db)
        await made.people(5)
        await made.relay(25)
        yield made


@pytest.fixture
async def stranger(world: World) -> Scope:
    """The operator of a second tenant, who must not see the first one's rows."""
    async with world.db.write(INSTANCE) as tx:
        made = await create_tenant(
            tx, INSTANCE, name="Other", country="DE", postal_address="Street 2", now=NOON
        )
    return scope_in(made, INSTANCE)
