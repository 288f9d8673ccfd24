"""What doctor proves to the daemon: that it has the secret, now."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.core.secrets import Keyring
from mailengine.web.seen import is_doctor, proof

OURS, THEIRS = Keyring(b"o" * 32), Keyring(b"t" * 32)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("keyring", "seconds", "believed"),
    [(OURS, 0, True), (OURS, 50, True), (OURS, -50, True), (OURS, 70, False), (THEIRS, 0, False)],
)
def test_only_the_secret_and_only_for_a_minute(keyring: Keyring, seconds: int, believed: bool) -> None:
    assert is_doctor(OURS, proof(keyring, NOW - timedelta(seconds=seconds)), NOW) is believed


@given(st.text() | st.from_regex(r"[0-9²]{1,400}\.[0-9a-f]*", fullmatch=True))
def test_whatever_is_sent_is_refused(sent: str) -> None:
    assert not is_doctor(OURS, sent, NOW)
