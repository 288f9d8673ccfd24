"""Fixtures of the delivery tests."""

import pytest

from peers.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of TLS peers."""
    return Authority.create(tmp_path_factory.mktemp("certificates"))
