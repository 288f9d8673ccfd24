"""Quoted-printable parts that can be joined in any way, and the frame around the two bodies."""

import email
import email.policy
import quopri
import re
import string
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailengine.mail.message import MultipartFrame, qp_static, qp_value

texts = st.one_of(
    st.text(max_size=300),
    st.text(". \t=\r\nFrom äA", max_size=200),
    st.text(string.ascii_letters + " .", max_size=400),
    st.lists(
        st.sampled_from(["From ", ".", "\n", " ", "a" * 73, "b" * 74, "ä", "=", "..\n", "\r\n", "\t"])
    ).map("".join),
)


def normalised(text: str) -> bytes:
    return re.sub(r"\r\n|\r|\n", "\r\n", text).encode("utf-8", "replace")


def assert_safe(encoded: str) -> None:
    for line in encoded.split("\r\n"):
        assert len(line) <= 76
        assert not line.startswith((".", "From "))
        assert not line.endswith((" ", "\t"))
        assert "\r" not in line
        assert "\n" not in line
    assert encoded == "" or encoded.endswith("\r\n")
    assert encoded.isascii()


@given(st.lists(st.tuples(st.sampled_from([qp_static, qp_value]), texts), max_size=8))
@example([(qp_value, "From "), (qp_value, "."), (qp_static, "\n.")])
@example([(qp_value, "x "), (qp_static, "\n")])
def test_any_concatenation_decodes_to_the_inputs(parts: list) -> None:  # type: ignore[type-arg]
    encoded = "".join(encode(text) for encode, text in parts)
    assert_safe(encoded)
    assert quopri.decodestring(encoded.encode("ascii")) == b"".join(normalised(text) for _, text in parts)


@given(texts, st.lists(st.integers(0, 400), max_size=5))
def test_a_text_may_be_split_anywhere(text: str, cuts: list[int]) -> None:
    text = re.sub(r"\r\n?", "\n", text)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    encoded = "".join(map(qp_value, pieces))
    assert_safe(encoded)
    assert quopri.decodestring(encoded.encode("ascii")) == normalised(text)


def test_what_a_part_looks_like() -> None:
    assert qp_value("") == qp_static("") == ""
    assert qp_value("Anna") == qp_static("Anna") == "Anna=\r\n"
    assert qp_value("Anna\n") == "Anna\r\n"
    assert qp_value(".x") == "=2Ex=\r\n"
    assert qp_value("From me") == "=46rom me=\r\n"
    assert qp_static("a \n\tb\t\r\nc") == "a=20\r\n\tb=09\r\nc=\r\n"
    assert qp_value("a=b") == "a=3Db=\r\n"


def test_a_carriage_return_and_a_newline_in_two_parts_are_two_breaks() -> None:
    assert qp_value("a\r") + qp_value("\nb") == "a\r\n\r\nb=\r\n"


def test_lone_surrogates_do_not_stop_a_message() -> None:
    assert qp_value("a\ud800b") == "a?b=\r\n"


@given(texts, texts)
def test_frame_parses_as_two_bodies(text: str, html: str) -> None:
    frame = MultipartFrame("task42")
    raw = b"".join([
        b"Subject: x\r\n", frame.content_type(), b"\r\n",
        frame.head(), qp_static(text).encode("ascii"),
        frame.between(), qp_static(html).encode("ascii"), frame.tail(),
    ])  # fmt: skip
    message = email.message_from_bytes(raw, policy=email.policy.strict + email.policy.SMTP)
    assert message.get_content_type() == "multipart/alternative"
    plain, rich = message.iter_parts()  # type: ignore[attr-defined]
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert plain.get_content_charset() == rich.get_content_charset() == "utf-8"
    assert plain.get_payload(decode=True) == normalised(text)
    assert rich.get_payload(decode=True) == normalised(html)


def test_a_boundary_holds_what_no_body_can() -> None:
    frame = MultipartFrame("x")
    assert frame.boundary.startswith("=_")
    assert "--=_x" not in qp_static("--=_x\n--=_x")
    with pytest.raises(ValueError, match="boundary"):
        MultipartFrame('a"\r\nb')
