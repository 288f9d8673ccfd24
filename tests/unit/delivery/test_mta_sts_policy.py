"""MTA-STS records and policies as they are met (RFC 8461 3.1, 3.2, 4.1)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.domain.delivery.mta_sts import NoPolicy, Policy, parse_policy, parse_record

VALID = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "record_id"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1 ; future=x; id=1;"], "1"),
        (["v=spf1 -all", "v=STSv1; id=1;"], "1"),
        ([], None),
        (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
        (["v=STSv2; id=1;"], None),
        (["v=STSv1"], None),
        (["v=STSv1;"], None),
        (["v=STSv1; id=;"], None),
        (["v=STSv1; id=a-b;"], None),
        (["v=STSv1; id=" + "x" * 33], None),
    ],
)
def test_record(texts: list[str], record_id: str | None) -> None:
    assert parse_record(texts) == record_id


def test_policy() -> None:
    assert parse_policy(VALID) == Policy("enforce", ("mail.example.com", "*.example.net"), 604800)


@pytest.mark.parametrize(
    "text",
    [
        VALID.replace("\r\n", "\n"),
        VALID.rstrip(),
        VALID + "\r\n",
        VALID.replace(": ", ":"),
        VALID.replace("\r\n", " \t\r\n"),
        VALID + "mode: none\r\nmax_age: 1\r\n",
        VALID + "future: 1:2:3\r\n",
        VALID + "mx: MAIL.example.COM\r\n",
    ],
    ids=["LF", "no end", "empty line", "no space", "blanks", "repeated", "unknown key", "upper case"],
)
def test_policy_in_other_words(text: str) -> None:
    assert parse_policy(text) == parse_policy(VALID)


def test_none_needs_no_host() -> None:
    assert parse_policy("version: STSv1\nmode: none\nmax_age: 9\n") == Policy("none", (), 9)


def test_age_has_a_limit() -> None:
    assert parse_policy(VALID.replace("604800", "9999999999")).max_age_seconds == 31_557_600


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (VALID, ""),
        ("STSv1", "STSv2"),
        ("version: STSv1\r\n", ""),
        ("enforce", "strict"),
        ("enforce", "Enforce"),
        ("604800", "-1"),
        ("604800", "1e9"),
        ("604800", "٣"),
        ("604800", "12345678901"),
        ("max_age: 604800\r\n", ""),
        ("mx: mail.example.com\r\nmx: *.example.net\r\n", ""),
        ("*.example.net", "mail.*.net"),
        ("*.example.net", "*"),
        ("*.example.net", "a..b"),
        ("*.example.net", "two words"),
        ("mode: enforce", "<html>"),
    ],
)
def test_invalid(old: str, new: str) -> None:
    with pytest.raises(NoPolicy):
        parse_policy(VALID.replace(old, new))


@given(st.text())
def test_anything_is_a_policy_or_none(text: str) -> None:
    for served in (text, VALID + text):
        with suppress(NoPolicy):
            assert parse_policy(served).mode in ("none", "testing", "enforce")


@pytest.mark.parametrize(
    "host", ["mail.example.com", "MAIL.example.com.", "mx1.example.net", "mx2.example.net"]
)
def test_allowed(host: str) -> None:
    assert parse_policy(VALID).allows(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "a.mail.example.com", "example.net", "a.b.example.net", "mail.example.com.evil.test", ""],
)
def test_not_allowed(host: str) -> None:
    assert not parse_policy(VALID).allows(host)
