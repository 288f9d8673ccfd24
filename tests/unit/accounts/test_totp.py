"""One-time passwords against the test vectors of the RFCs, and which codes are refused."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from mailengine.domain.accounts import totp

SECRET = b"12345678901234567890"  # RFC 6238, appendix B
NOW = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    """The RFC shows eight digits; six are its last six."""
    moment = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(SECRET, totp.step_of(moment)) == code
    assert totp.matching_step(SECRET, code, now=moment, after=0) == totp.step_of(moment)


def test_a_clock_may_be_half_a_minute_off_and_no_more() -> None:
    step = totp.step_of(NOW)
    for drift, accepted in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(SECRET, totp.code_at(SECRET, step + drift), now=NOW, after=0)
        assert (found == step + drift) is accepted


def test_a_code_is_good_once_and_older_ones_never_after() -> None:
    step = totp.step_of(NOW)
    code, older = totp.code_at(SECRET, step), totp.code_at(SECRET, step - 1)
    assert totp.matching_step(SECRET, code, now=NOW, after=step) is None
    assert totp.matching_step(SECRET, older, now=NOW, after=step) is None
    later = NOW + timedelta(seconds=30)
    assert totp.matching_step(SECRET, totp.code_at(SECRET, step + 1), now=later, after=step) == step + 1


@pytest.mark.parametrize("code", ["", "1", "000000000", "28708２", "\ud800", "x" * 1000])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert totp.matching_step(SECRET, code, now=datetime.fromtimestamp(59, UTC), after=0) is None


def test_the_address_for_the_app_survives_every_character() -> None:
    parts = urlsplit(totp.uri(SECRET, account="a&b@example.org", issuer="A:c/me? & <Co>"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    found = parse_qs(parts.query)
    assert found == {"secret": [totp.written(SECRET)], "issuer": ["A:c/me? & <Co>"]}
    assert "?" not in parts.path
    assert "=" not in totp.written(SECRET)
