"""An installation as a role of the daemon sees it, with a clock that the test moves."""

from pathlib import Path

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.db.unit import Database
from mailengine.runtime import Runtime
from support.fixtures import db, other, scope
from support.house import KEYRING, NOW

__all__ = ["db", "other", "scope"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def rt(db: Database, clock: ManualClock, database_url: str, tmp_path: Path) -> Runtime:
    settings = load_settings(data_dir=tmp_path, database={"url": database_url})
    return Runtime(settings, db, clock, KEYRING)
