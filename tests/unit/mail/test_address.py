"""Addresses: one normal form whichever path parses them, and refusals in words a person understands."""

import string

import pytest
from email_validator import EmailNotValidError
from hypothesis import given
from hypothesis import strategies as st

from mailengine.mail import address as module
from mailengine.mail.address import Address, AddressError, parse_address, parse_mailbox

ATEXT = string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-"

RARE_DOMAINS = [
    "x.test", "x.local", "x.example", "x.invalid", "localhost", "test", "a.onion", "b.arpa", "x.1", "x.a1",
    "xn--mller-kva.de", "ab--cd.org", "x..org", ".org", "x.org.", "-a.org", "a-.org", "a_b.org", "EXAMPLE.Org",
]  # fmt: skip

locals_ = st.one_of(
    st.lists(st.text(ATEXT, min_size=1, max_size=12), min_size=1, max_size=4).map(".".join),
    st.text(ATEXT + ".", min_size=0, max_size=66),
    st.sampled_from(["info", "Postmaster", "WWW", "a" * 64, "a" * 65, "", "."]),
    st.text(max_size=8),
)
labels = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=8)
domains = st.one_of(
    st.lists(labels, min_size=1, max_size=4).map(".".join),
    st.lists(st.text("a-1", min_size=60, max_size=64), min_size=1, max_size=4).map(
        lambda x: ".".join([*x, "org"])
    ),
    st.sampled_from(RARE_DOMAINS),
    st.text(max_size=8),
)
addresses = st.builds("{}@{}".format, locals_, domains)


def slowly(text: str) -> Address | None:
    """What email-validator says, with nothing of ours in between but the limits it has no option for."""
    try:
        found = module._validator().validate_email(
            text, check_deliverability=False, test_environment=True, allow_quoted_local=True, strict=True
        )
    except EmailNotValidError:
        return None
    if "." not in found.ascii_domain:
        return None
    return Address(
        found.normalized,
        f"{found.local_part.lower()}@{found.ascii_domain}",
        found.ascii_domain,
        found.local_part,
    )


def parsed(text: str) -> Address | None:
    try:
        return parse_address(text)
    except AddressError:
        return None


@given(addresses.filter(str.isascii))
def test_fast_path_and_email_validator_agree(text: str) -> None:
    assert parsed(text.strip()) == slowly(text.strip())


@given(st.one_of(addresses, st.text(max_size=40), st.text(max_size=20).map('"{}"@example.org'.format)))
def test_any_text_is_an_address_or_refused_and_the_normal_form_is_stable(text: str) -> None:
    found = parsed(text)
    if found is None:
        return
    assert parse_address(found.email) == found
    assert parse_address(found.envelope).key == found.key
    assert found.domain.isascii()
    assert "." in found.domain
    assert not any(ord(char) < 32 or ord(char) == 127 for char in found.email + found.key)
    assert len(found.envelope.encode()) <= 254


@pytest.mark.parametrize(
    ("text", "email", "key"),
    [
        ("john@x.org", "john@x.org", "john@x.org"),
        ("John.Doe+tag@Mail.X.ORG", "John.Doe+tag@mail.x.org", "john.doe+tag@mail.x.org"),
        (" \t\u00a0\ufeffjohn@x.org\u200b \r\n", "john@x.org", "john@x.org"),
        ('"john"@x.org', "john@x.org", "john@x.org"),
        ('"John Doe"@x.org', '"John Doe"@x.org', '"john doe"@x.org'),
        ('"a@b"@x.org', '"a@b"@x.org', '"a@b"@x.org'),
        ("INFO@x.org", "info@x.org", "info@x.org"),
        ("jörg@Müller.de", "jörg@müller.de", "jörg@xn--mller-kva.de"),
        ("jo\u0308rg@x.org", "jörg@x.org", "jörg@x.org"),
        ("a@xn--mller-kva.de", "a@müller.de", "a@xn--mller-kva.de"),
        ("用户@例え.jp", "用户@例え.jp", "用户@xn--r8jz45g.jp"),
        ("ＪＯＨＮ@x.org", "ＪＯＨＮ@x.org", "john@x.org"),
        ("STRASSE@x.org", "STRASSE@x.org", "strasse@x.org"),
        ("straße@x.org", "straße@x.org", "strasse@x.org"),
        ("a@b。org", "a@b.org", "a@b.org"),
        ("a@intranet.local", "a@intranet.local", "a@intranet.local"),
        ("a@mx.test", "a@mx.test", "a@mx.test"),
        ("ä@mx.invalid", "ä@mx.invalid", "ä@mx.invalid"),
    ],
)
def test_normal_form_and_key(text: str, email: str, key: str) -> None:
    found = parse_address(text)
    assert (found.email, found.key) == (email, key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("john", "no @"),
        ("john@", "nothing after"),
        ("@x.org", "nothing before"),
        ("a@b@x.org", "more than one @"),
        ("a b@x.org", "space before"),
        ("a@x .org", "space after"),
        ("a\r\nBcc: b@x.org", "control character"),
        ("a\0@x.org", "control character"),
        ("a@x.org\x85b", "control character"),
        ("a\u2028@x.org", "control character"),
        ("a\ud800@x.org", "control character"),
        ("a(hi)@x.org", "comments"),
        ("a@x.org(hi)", "comments"),
        ("a@[192.0.2.1]", "IP address"),
        (".a@x.org", "dot is misplaced before"),
        ("a..b@x.org", "dot is misplaced before"),
        ("a@x..org", "dot is misplaced after"),
        ("a@x.org.", "dot is misplaced after"),
        ("a@localhost", "no dot"),
        ("a@test", "no dot"),
        ("a@192.0.2.1", "ends in a number"),
        ("a@x_y.org", "'_'"),
        ("a@-x.org", "hyphen"),
        ("a" * 65 + "@x.org", "64 octets"),
        ("ä" * 40 + "@x.org", "64 octets"),
        ("a@" + "b" * 64 + ".org", "too many"),
        ("a@" + "b." * 200 + "org", "254"),
        ("a,b@x.org", "','"),
        ("a\u202e@x.org", "OVERRIDE"),
    ],
)
def test_refusals_say_why(text: str, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert reason in caught.value.reason
    assert len(caught.value.reason) <= 200
    assert "\n" not in str(caught.value)


def test_two_gigabyte_rows_do_not_reach_a_parser_or_a_message() -> None:
    with pytest.raises(AddressError) as caught:
        parse_address("x" * 5_000_000 + "@example.org")
    assert len(str(caught.value)) < 200


def test_envelope_is_ascii_where_the_local_part_allows() -> None:
    assert parse_address("a@müller.de").envelope == "a@xn--mller-kva.de"
    assert not parse_address("a@müller.de").needs_smtputf8
    assert parse_address("jörg@müller.de").envelope == "jörg@xn--mller-kva.de"
    assert parse_address("jörg@müller.de").needs_smtputf8


@pytest.mark.parametrize(
    ("text", "name", "email"),
    [
        ("news@example.org", "", "news@example.org"),
        ("<news@example.org>", "", "news@example.org"),
        ("Acme <news@example.org>", "Acme", "news@example.org"),
        (" Acme, Inc. <news@example.org> ", "Acme, Inc.", "news@example.org"),
        ('"Acme \\"Inc.\\" <x>" <news@example.org>', 'Acme "Inc." <x>', "news@example.org"),
        ("Müller GmbH<a@müller.de>", "Müller GmbH", "a@müller.de"),
        ('Odd <"a<b"@x.org>', "Odd", '"a<b"@x.org'),
    ],
)
def test_mailboxes(text: str, name: str, email: str) -> None:
    found = parse_mailbox(text)
    assert (found.name, found.address.email) == (name, email)


@pytest.mark.parametrize(
    "text",
    [
        "Acme",
        "Acme <>",
        "A <a@b.org>, B <c@d.org>",
        "A\r\nBcc: x <a@b.org>",
        'A "b <a@b.org>',
        "A <a@b.org",
        "A <a b@c.org>",
    ],
)
def test_mailboxes_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)
