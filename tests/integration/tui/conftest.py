"""A world for each test. One test of each section runs on both databases: what it asks and does is the domain's, and
its tests run on both.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.world import World, a_world


@pytest.fixture
async def world(sqlite_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(sqlite_dsn, tmp_path) as made:
        yield made


@pytest.fixture
async def either_world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path) as made:
        yield made
