"""One installation per module: making one takes most of a test's time."""

from collections.abc import Iterator

import pytest

from peers.catcher import Catcher
from support.installation import Installation, install
from support.integrity import assert_integrity


@pytest.fixture(scope="module")
def caught() -> Iterator[Catcher]:
    server = Catcher()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, caught: Catcher) -> Iterator[Installation]:
    made = install(tmp_path_factory.mktemp("installation"), caught.port)
    yield made
    assert_integrity(f"sqlite+aiosqlite:///{made.database}")
