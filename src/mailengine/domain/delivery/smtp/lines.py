"""Server replies out of a byte stream (RFC 5321 4.2), limited, strict, independent of packet bounds.

Strict because one reply too many or too few pairs every later reply with the wrong message: anything
that is not a reply is a fault, and the session that meets a fault ends.
"""

# RFC 5321 4.5.3.1.5 allows 512 octets; servers exceed it. Limits stop a peer from filling the memory.
MAX_LINE_BYTES = 4096
MAX_REPLY_LINES = 128

# Known codes only: checks three digits and the range (RFC 5321 4.2.1) in one look-up.
_CODES = {str(code).encode(): code for code in range(200, 600)}
_LAST_LINES = {code + b" ": number for code, number in _CODES.items()}
_SEPARATORS = (b" ", b"-", b"")
_LF = b"\n"


class ReplyReader:
    """Feed it bytes, get complete replies as (code, lines); `fault` says why it stopped for good."""

    __slots__ = ("_partial", "_rest", "fault")

    def __init__(self) -> None:
        self._rest = b""
        self._partial: list[bytes] = []
        self.fault: str | None = None

    def feed(self, data: bytes) -> list[tuple[int, list[bytes]]]:
        """The replies that `data` completes; those before a fault are still given."""
        replies: list[tuple[int, list[bytes]]] = []
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            code = _LAST_LINES.get(line[:4])
            if code and _LF not in line and len(line) <= MAX_LINE_BYTES and not self._partial:
                replies.append((code, [line]))  # nearly every line; the checks stand here for speed
                continue
            self._take_unusual(line, replies)
            if self.fault is not None:
                return replies
        if self._rest and not _is_plain(self._rest):
            self.fault = _what_is_wrong(self._rest)
        return replies

    def _take_unusual(self, line: bytes, replies: list[tuple[int, list[bytes]]]) -> None:
        """A line of a multi-line reply, a line without text, or no reply at all."""
        code = _CODES.get(line[:3])
        if code is None or line[3:4] not in _SEPARATORS:
            self.fault = f"not an SMTP reply: {line[:60].decode('ascii', 'backslashreplace')!r}"
        elif not _is_plain(line):
            self.fault = _what_is_wrong(line)
        elif self._partial and line[:3] != self._partial[0][:3]:
            self.fault = f"a reply changes its code from {self._partial[0][:3].decode()} to {code}"
        elif len(self._partial) >= MAX_REPLY_LINES:
            self.fault = "a reply is too long"
        else:
            self._partial.append(line)
            if line[3:4] != b"-":
                replies.append((code, self._partial))
                self._partial = []


def _is_plain(line: bytes) -> bool:
    return len(line) <= MAX_LINE_BYTES and _LF not in line


def _what_is_wrong(line: bytes) -> str:
    # A server that echoes foreign text with a bare LF could be made to "say" a reply it never gave.
    if _LF in line:
        return "a reply has a bare LF; lines must end in CRLF (RFC 5321 2.3.8)"
    return "a reply line is too long"
