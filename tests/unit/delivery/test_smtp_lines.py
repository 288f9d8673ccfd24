"""Reply reading does not depend on how the bytes were cut, and never takes what is no reply for one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.domain.delivery.smtp.lines import MAX_LINE_BYTES, MAX_REPLY_LINES, ReplyReader

codes = st.integers(200, 599)
texts = st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b""))
whole_replies = st.tuples(codes, st.lists(texts, min_size=1, max_size=4))


def encode(code: int, lines: list[bytes]) -> bytes:
    marks = [b"-"] * (len(lines) - 1) + [b" "]
    return b"".join(b"%d%b%b\r\n" % (code, mark, text) for mark, text in zip(marks, lines, strict=True))


def read(*pieces: bytes) -> tuple[list[tuple[int, list[bytes]]], str | None]:
    reader = ReplyReader()
    replies = []
    for piece in pieces:
        replies += reader.feed(piece)
        if reader.fault is not None:
            break
    return replies, reader.fault


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(st.lists(whole_replies, max_size=5), st.lists(st.integers(0), max_size=8))
def test_replies_come_whole_however_they_were_cut(
    replies: list[tuple[int, list[bytes]]], places: list[int]
) -> None:
    data = b"".join(encode(*reply) for reply in replies)
    found, fault = read(*cut(data, places))
    assert fault is None
    assert [(code, [line[4:] for line in lines]) for code, lines in found] == replies


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=8))
def test_any_bytes_read_the_same_however_they_were_cut(data: bytes, places: list[int]) -> None:
    whole, whole_fault = read(data)
    pieces, pieces_fault = read(*cut(data, places))
    assert pieces == whole
    assert (pieces_fault is None) == (whole_fault is None)


@pytest.mark.parametrize(
    "data",
    [
        b"25 short\r\n",
        b"199 below\r\n",
        b"600 above\r\n",
        b"250_other separator\r\n",
        "２５０ full-width digits\r\n".encode(),
        b"\r\n",
        b"250 bare\n250 line feed\r\n",
        b"250 bare\n",
        b"250-one\r\n251 other code\r\n",
        b"250 " + b"x" * MAX_LINE_BYTES + b"\r\n",
        b"250 " + b"x" * MAX_LINE_BYTES,
        b"250-more\r\n" * (MAX_REPLY_LINES + 1),
    ],
)
def test_what_is_no_reply_is_a_fault(data: bytes) -> None:
    replies, fault = read(data)
    assert replies == []
    assert fault is not None


def test_replies_before_a_fault_are_given() -> None:
    replies, fault = read(b"250 taken\r\nnonsense\r\n250 not this\r\n")
    assert replies == [(250, [b"250 taken"])]
    assert fault == "not an SMTP reply: 'nonsense'"


def test_code_without_text() -> None:
    assert read(b"250\r\n354\r\n") == ([(250, [b"250"]), (354, [b"354"])], None)
