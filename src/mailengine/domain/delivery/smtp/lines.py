"""Server replies out of a byte stream (RFC 5321 4.2), limited, strict, independent of packet bounds.

Strict because one reply too many or too few pairs every later reply with the wrong message: anything
that is not a reply is a fault, and the session that meets a fault ends.
"""

from mailengine.mail.replies import Reply, parse_reply

# RFC 5321 4.5.3.1.5 allows 512 octets; servers exceed it. Limits stop a peer from filling the memory.
MAX_LINE_BYTES = 4096
MAX_REPLY_LINES = 128

# Known codes only: checks three digits and the range (RFC 5321 4.2.1) in one look-up.
_CODES = {str(code).encode(): code for code in range(200, 600)}


class ReplyReader:
    """Feed it bytes, get complete replies as (code, text lines); `fault` says why it stopped for good."""

    __slots__ = ("_code", "_partial", "_rest", "fault")

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._partial: list[bytes] = []
        self.fault: str | None = None

    def feed(self, data: bytes) -> list[tuple[int, list[bytes]]]:
        """The replies that `data` completes; those before a fault are still given."""
        replies: list[tuple[int, list[bytes]]] = []
        if self.fault is not None:
            return replies
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            self.fault = self._take(line, replies)
            if self.fault is not None:
                return replies
        if len(self._rest) > MAX_LINE_BYTES:
            self.fault = "a reply line is too long"
        elif b"\n" in self._rest:
            self.fault = _BARE_LF
        return replies

    def _take(self, line: bytes, replies: list[tuple[int, list[bytes]]]) -> str | None:
        code = _CODES.get(line[:3])
        separator = line[3:4]
        if code is None or separator not in b" -":
            return f"not an SMTP reply: {line[:60].decode('ascii', 'backslashreplace')!r}"
        if b"\n" in line:
            return _BARE_LF
        if len(line) > MAX_LINE_BYTES or len(self._partial) >= MAX_REPLY_LINES:
            return "a reply is too long"
        if self._partial and code != self._code:
            return f"a reply changes its code from {self._code} to {code}"
        self._partial.append(line[4:])
        self._code = code
        if separator != b"-":
            replies.append((code, self._partial))
            self._partial = []
        return None


# A server that echoes foreign text with a bare LF could be made to "say" a reply it never gave.
_BARE_LF = "a reply has a bare LF; lines must end in CRLF (RFC 5321 2.3.8)"


def to_reply(code: int, lines: list[bytes]) -> Reply:
    """The reply as the rest of the program knows it; undecodable bytes are kept visible."""
    return parse_reply(f"{code} " + b"\n".join(lines).decode("utf-8", "backslashreplace"))
