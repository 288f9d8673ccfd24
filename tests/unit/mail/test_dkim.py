"""DKIM: dkimpy, an implementation by others, verifies what we sign, and nothing that was changed."""

import dkim
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailengine.mail.dkim import (
    KeyPair,
    Signer,
    SigningKeyError,
    dns_record,
    generate_ed25519,
    generate_rsa,
    sign,
    simple_body,
)

PAIRS = {"rsa": generate_rsa(), "ed25519": generate_ed25519()}
SIGNERS = {kind: Signer("example.org", "me1", pair.private_pem) for kind, pair in PAIRS.items()}

HEADERS = (
    b"From: Acme <news@example.org>\r\n"
    b"To: =?utf-8?q?J=C3=BCrgen?= <j@example.net>\r\n"
    b"Subject: A   long\r\n\tfolded \t subject  \r\n"
    b"Date: Thu, 01 Jan 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"List-Unsubscribe: <https://example.org/u/x>,\r\n <mailto:u@example.org>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Unsigned: yes\r\n"
)

unstructured = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)
folded = st.lists(unstructured, min_size=1, max_size=4).map("\r\n \t".join).filter(lambda v: bool(v.strip()))
bodies = st.one_of(
    st.lists(st.sampled_from(["", " ", "\t", " \t", "a", "a  b ", ".", "ä \t", "=20", "  x"])).map(
        "\r\n".join
    ),
    st.lists(st.sampled_from(["", " ", "a", "b\t\tc "])).map(
        lambda lines: "".join(f"{x}\r\n" for x in lines)
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=200),
).map(str.encode)


def verifies(message: bytes, pair: KeyPair) -> bool:
    def dnsfunc(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"me1._domainkey.example.org."
        return dns_record(pair).encode("ascii")

    try:
        return bool(dkim.DKIM(message).verify(dnsfunc=dnsfunc))
    except (dkim.ValidationError, dkim.MessageFormatError):
        return False


def signed(kind: str, headers: bytes, body: bytes) -> bytes:
    """As it goes on the wire, where a last line always gets its line end (RFC 5321 4.1.1.4)."""
    ended = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    return sign([SIGNERS[kind]], headers, body) + headers + b"\r\n" + ended


@pytest.mark.parametrize("kind", PAIRS)
@given(subject=folded, body=bodies)
@example(subject="x", body=b"")
@example(subject="x", body=b"\r\n\r\n")
@example(subject="x", body=b" ")
@example(subject="x", body=b"no newline at the end \t")
@example(subject="x", body=b"a\r\n \r\n\t\r\n")
@settings(max_examples=60)
def test_dkimpy_verifies(kind: str, subject: str, body: bytes) -> None:
    headers = HEADERS.replace(b"A   long\r\n\tfolded \t subject  ", subject.encode())
    assert verifies(signed(kind, headers, body), PAIRS[kind])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"body", b"Body"),
        (b"news@", b"fake@"),
        (b"Subject: ", b"Subject: Free "),
        (b"u/x", b"u/y"),
        (b"\r\nFrom: ", b"\r\nFrom: x@example.com\r\nFrom: "),
        (b"\r\nTo: ", b"\r\nTo: x@example.com\r\nTo: "),
        (b"\r\nX-Unsigned: ", b"\r\nSubject: another\r\nX-Unsigned: "),
    ],
)
def test_changes_and_additions_break_it(kind: str, old: bytes, new: bytes) -> None:
    message = signed(kind, HEADERS, b"the body\r\n")
    assert verifies(message, PAIRS[kind])
    changed = message.replace(old, new, 1)
    assert changed != message
    assert not verifies(changed, PAIRS[kind])


def test_what_a_relay_may_change_does_not_break_it() -> None:
    message = signed("rsa", HEADERS, b"the body\r\nends\r\n\r\n")
    changed = message.replace(b"X-Unsigned: yes\r\n", b"X-Other: 1\r\n")
    changed = (
        changed.replace(b"A   long\r\n\tfolded \t subject  ", b"A long folded subject").rstrip() + b"\r\n"
    )
    assert verifies(changed, PAIRS["rsa"])


@pytest.mark.parametrize("kind", PAIRS)
def test_the_field_is_well_formed(kind: str) -> None:
    field = sign([SIGNERS[kind]], HEADERS, b"x\r\n", timestamp=1_700_000_000)
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= 78 for line in lines)
    assert all(line.startswith(b" ") for line in lines[1:])
    assert b" t=1700000000;" in field
    assert f"a={kind}-sha256".encode() in field
    assert b"X-Unsigned" not in field
    assert verifies(field + HEADERS + b"\r\nx\r\n", PAIRS[kind])


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b"", b"\r\n"),
        (b"\r\n", b"\r\n"),
        (b" \r\n\t\r\n", b" \r\n\t\r\n"),
        (b"a", b"a\r\n"),
        (b"a\n\r\n", b"a\n\r\n"),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n"),  # RFC 6376 3.4.5
    ],
)
def test_simple_bodies(body: bytes, canonical: bytes) -> None:
    assert simple_body(body) == canonical


def test_each_key_has_a_field() -> None:
    both = sign(list(SIGNERS.values()), HEADERS, b"x\r\n")
    assert both == b"".join(sign([signer], HEADERS, b"x\r\n") for signer in SIGNERS.values())
    assert sign([], HEADERS, b"x\r\n") == b""


def test_dns_record_and_repr() -> None:
    pair = PAIRS["ed25519"]
    assert dns_record(pair) == f"v=DKIM1; k=ed25519; p={pair.public_b64}"
    assert dns_record(PAIRS["rsa"]).startswith("v=DKIM1; k=rsa; p=MII")
    assert b"PRIVATE KEY" in pair.private_pem
    assert "PRIVATE" not in repr(pair)


@pytest.mark.parametrize(
    ("domain", "selector", "pem"),
    [
        ("example.org", "me1", b"nonsense"),
        ("example.org", "me1", ""),
        ("exa mple.org", "me1", PAIRS["rsa"].private_pem),
        ("example.org", "me1; d=evil.org", PAIRS["rsa"].private_pem),
        ("müller.de", "me1", PAIRS["rsa"].private_pem),
    ],
    ids=["no key", "nothing", "a space in the domain", "a tag in the selector", "not in A-labels"],
)
def test_unusable_keys_and_names_are_refused(domain: str, selector: str, pem: bytes | str) -> None:
    with pytest.raises(SigningKeyError) as caught:
        Signer(domain, selector, pem)
    assert "PRIVATE" not in str(caught.value)
