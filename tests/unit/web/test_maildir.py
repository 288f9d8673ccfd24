"""What the development catcher holds can be shown, whatever bytes it is made of."""

import pytest

from mailengine.web.maildir import body, header, parse, written_headers

RAW_UTF8 = "From: a@example.org\r\nTo: 用户@例え.test\r\nSubject: Grüße\r\n\r\nbödy\r\n".encode()


@pytest.mark.parametrize("raw", [RAW_UTF8, RAW_UTF8.replace("ü".encode(), b"\xff"), b"", b"\xff\xfe\x00"])
def test_everything_that_is_shown_can_be_written_as_utf8(raw: bytes) -> None:
    message = parse(raw)
    shown = [header(message, "Subject"), header(message, "To"), body(message, "plain") or ""]
    shown += [part for pair in written_headers(message) for part in pair]
    assert all(text.encode("utf-8") is not None for text in shown)


def test_raw_utf8_headers_are_shown_as_they_are_meant() -> None:
    assert dict(written_headers(parse(RAW_UTF8)))["To"] == "用户@例え.test"
