"""Header fields: what Python's parser reads back is what was written, and nothing breaks out of its line."""

import email
import email.policy
import email.utils
import re
import string
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailengine.mail.address import AddressError
from mailengine.mail.headers import (
    HeaderError,
    check_header_value,
    encode_list_id,
    encode_mailbox_header,
    encode_structured,
    encode_unstructured,
)

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
values = st.one_of(
    st.text(max_size=300),
    st.text(string.ascii_letters + "  ", max_size=400),
    st.text(string.printable + "äß€😀", max_size=200),
    st.lists(
        st.sampled_from(
            ["=?utf-8?q?x?=", "=?", "?=", "Grüße", "plain", "😀" * 5, '"', ",", "<a@b.org>", "\r\nBcc: x"]
        )
    ).map(" ".join),
)
encoded_word = re.compile(rb"=\?utf-8\?([bq])\?[!->@-~]*\?=")


def parse(field: bytes) -> EmailMessage:
    message = email.message_from_bytes(field + b"\r\nbody", policy=email.policy.strict + email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    assert message.get_payload() == "body"
    assert len(message.keys()) == 1
    return message


def assert_well_formed(field: bytes) -> None:
    assert field.endswith(b"\r\n")
    lines = field[:-2].split(b"\r\n")
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)
    for number, line in enumerate(lines):
        assert len(line) <= 998
        assert line.strip(b" ")
        assert (number == 0) == (not line.startswith(b" "))
        words = list(encoded_word.finditer(line))
        assert all(len(word[0]) <= 75 for word in words)
        assert len(line) <= 76 or not words


@given(values)
@example("a" * 3000)
@example(" a   b ")
@example("x " * 40 + " " * 100 + "y")
@example("ä" * 200)
@example("=?utf-8?b?zzz?=")
def test_unstructured_comes_back(value: str) -> None:
    field = encode_unstructured("Subject", value)
    assert_well_formed(field)
    assert str(parse(field)["Subject"]) == CONTROLS.sub(" ", value).strip(" ")


@given(values)
@example("\x80")
@example("=?utf-8?q?x?=")
@example('Acme, Inc. (Berlin) \\ "quoted"')
@example("W" * 100)
def test_display_names_come_back(name: str) -> None:
    field = encode_mailbox_header("To", name, "john@example.org")
    assert_well_formed(field)
    expected = re.sub(" +", " ", CONTROLS.sub(" ", name)).strip(" ")
    assert decoded_mailbox(field) == (expected, "john@example.org")
    if field.count(b"=?utf-8?") < 2:
        (address,) = parse(field)["To"].addresses
        assert (address.display_name, address.addr_spec) == (expected, "john@example.org")


def decoded_mailbox(field: bytes) -> tuple[str, str]:
    """By the older parser: the newer one of Python 3.11 keeps the space between two encoded words of a
    phrase, which RFC 2047 6.2 says is to be ignored."""
    (raw,) = email.message_from_bytes(field).values()
    name, addr_spec = email.utils.parseaddr(raw)
    return str(make_header(decode_header(name.replace("\r\n", "")))), addr_spec


def test_short_ascii_is_untouched() -> None:
    assert (
        encode_unstructured("Subject", "Hello, world: 100% (sure)")
        == b"Subject: Hello, world: 100% (sure)\r\n"
    )
    assert encode_unstructured("Subject", "") == b"Subject: \r\n"
    assert encode_mailbox_header("To", "John Doe", "j@x.org") == b"To: John Doe <j@x.org>\r\n"
    assert encode_mailbox_header("To", "", "j@x.org") == b"To: j@x.org\r\n"
    assert (
        encode_mailbox_header("From", 'Acme "A", Inc.', "j@x.org")
        == b'From: "Acme \\"A\\", Inc." <j@x.org>\r\n'
    )


def test_shorter_encoding_is_chosen() -> None:
    assert encode_unstructured("Subject", "Cafe für alle") == b"Subject: =?utf-8?q?Cafe_f=C3=BCr_alle?=\r\n"
    assert encode_unstructured("Subject", "春の便り") == b"Subject: =?utf-8?b?5pil44Gu5L6/44KK?=\r\n"


@given(st.text("aä春😀 ", min_size=30, max_size=200).filter(lambda text: not text.isascii()))
def test_each_encoded_word_holds_whole_characters(value: str) -> None:
    """RFC 2047 5: a reader may decode each word by itself."""
    for line in encode_unstructured("Subject", value).split(b"\r\n")[:-1]:
        word = encoded_word.search(line)
        assert word
        assert "\ufffd" not in str(parse(b"X: " + word[0] + b"\r\n")["X"])


@pytest.mark.parametrize(
    "injection", ["a\r\nBcc: b@x.org", "a\nBcc: b", "a\rBcc: b", "a\0b", "a\x0bb", "a\x85b", "a\u2028b"]
)
def test_injection_is_a_space_in_the_loop_and_an_error_in_settings(injection: str) -> None:
    for field in (
        encode_unstructured("Subject", injection),
        encode_mailbox_header("To", injection, "j@x.org"),
        encode_structured("Feedback-ID", injection),
        encode_list_id(injection, "list.example.org"),
    ):
        assert field.count(b"\r\n") == 1
        assert_well_formed(field)
    with pytest.raises(HeaderError, match="position 2"):
        check_header_value(injection)


def test_plain_settings_pass() -> None:
    assert check_header_value("Grüße, 😀") == "Grüße, 😀"


def test_address_must_be_an_address() -> None:
    with pytest.raises(AddressError):
        encode_mailbox_header("To", "x", "j@x.org\r\nBcc: b@x.org")


def test_international_addresses() -> None:
    assert encode_mailbox_header("To", "J", "j@müller.de") == b"To: J <j@xn--mller-kva.de>\r\n"
    assert encode_mailbox_header("To", "J", "jörg@müller.de") == "To: J <jörg@müller.de>\r\n".encode()
    message = email.message_from_string("To: J <jörg@müller.de>\r\n\r\n", policy=email.policy.SMTPUTF8)
    assert message["To"].addresses[0].addr_spec == "jörg@müller.de"


def test_structured_fields_fold_only_at_spaces() -> None:
    urls = f"<https://example.org/u/{'t' * 90}>, <mailto:unsubscribe@example.org?subject=x>"
    field = encode_structured("List-Unsubscribe", urls)
    assert b"=?" not in field
    assert field.replace(b"\r\n ", b" ") == f"List-Unsubscribe: {urls}\r\n".encode()
    with pytest.raises(HeaderError, match="ASCII"):
        encode_structured("List-Unsubscribe", "<https://müller.de>")
    with pytest.raises(HeaderError):
        encode_structured("List-Unsubscribe", "x" * 2000)


def test_list_id() -> None:
    assert encode_list_id("Our Customers", "c.example.org") == b"List-Id: Our Customers <c.example.org>\r\n"
    assert encode_list_id("", "c.example.org") == b"List-Id: <c.example.org>\r\n"
    with pytest.raises(HeaderError):
        encode_list_id("x", "c> d")


@pytest.mark.parametrize("name", ["", "Sub ject", "Subject:", "Sübject", "X\r\nBcc", "X" * 61])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(HeaderError, match="header name"):
        encode_unstructured(name, "x")
