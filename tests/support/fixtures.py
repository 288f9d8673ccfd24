"""Fixtures that a conftest.py takes over with `from support.fixtures import db, scope, other`."""

from collections.abc import AsyncIterator

import pytest

from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from support.house import add_tenant, open_database


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


@pytest.fixture
async def scope(db: Database) -> Scope:
    """The first tenant."""
    return await add_tenant(db, "Acme")


@pytest.fixture
async def other(db: Database, scope: Scope) -> Scope:
    """A second tenant, who must never see the first one's rows."""
    return await add_tenant(db, "Other")
