"""Bodies made of parts that are encoded apart and joined later (RFC 2045 6.7, quoted-printable).

A campaign's template is split into static segments, encoded once, and values, encoded per recipient;
a body is `"".join(parts).encode("ascii")`. Invariants of every part: it starts and ends at column 0 (the
end is a soft line break unless the text ends in a newline), its lines have at most 76 octets, and no
line starts with "." (dot stuffing, RFC 5321 4.5.2) or "From " (mbox). So every concatenation is valid
quoted-printable, is never stuffed, and decodes to the inputs with newlines as CRLF.

One edge: a value that ends in CR followed by one that starts with LF gives two line breaks, since each
part normalises its own newlines. No boundary can occur in a body, since it holds "=_", which
quoted-printable never produces.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

SOFT_BREAK = "=\r\n"
# Columns used before the "=" of a soft break; kept for hard-ended lines too, the line limit being 76.
_MAX_COLUMNS = 75

_SHORT_SAFE = re.compile(r"(?!\.|From )[ -<>-~]{1,70}")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_LITERAL = frozenset(range(0x21, 0x7F)) - {0x3D} | {0x09, 0x20}
_ENCODED = {byte: f"={byte:02X}" for byte in range(256) if byte not in _LITERAL}
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,66}")


def qp_value(text: str) -> str:
    """A per-recipient value; `""` for `""`. Short plain ASCII, the usual case, costs one match."""
    if _SHORT_SAFE.fullmatch(text):
        return f"{text}=\r\n"
    return qp_static(text)


def qp_static(text: str) -> str:
    """A static segment of any length."""
    if not text:
        return ""
    *ended, rest = _NEWLINE.split(text)
    encoded = [_hard_line(line) for line in ended]
    if rest:
        encoded.append(_wrapped(_escaped(rest)) + SOFT_BREAK)
    return "".join(encoded)


def _escaped(line: str) -> str:
    return line.encode("utf-8", "replace").decode("latin-1").translate(_ENCODED)


def _hard_line(line: str) -> str:
    """RFC 2045 6.7 (3): white space before a line break would be lost in transit, so it is encoded."""
    escaped = _escaped(line)
    if escaped[-1:] in (" ", "\t"):
        escaped = f"{escaped[:-1]}={ord(escaped[-1]):02X}"
    return _wrapped(escaped) + "\r\n"


def _wrapped(escaped: str) -> str:
    """Soft breaks put in, never inside an "=XX", and the start of each line made safe."""
    if len(escaped) <= _MAX_COLUMNS - 2:
        return _safe_start(escaped)
    cuts = [0]
    while cuts[-1] < len(escaped):
        cuts.append(_cut(escaped, cuts[-1]))
    return SOFT_BREAK.join([_safe_start(escaped[start:end]) for start, end in pairwise(cuts)])


def _cut(escaped: str, start: int) -> int:
    """Where the line that begins at `start` ends; two columns are kept for an encoded first character."""
    end = start + _MAX_COLUMNS - 2
    if end >= len(escaped):
        return len(escaped)
    escape = escaped.rfind("=", end - 2, end)
    return end if escape < 0 else escape


def _safe_start(line: str) -> str:
    if line.startswith("."):
        return "=2E" + line[1:]
    return "=46" + line[1:] if line.startswith("From ") else line


@dataclass(frozen=True, slots=True)
class MultipartFrame:
    """What stands around the two bodies of a multipart/alternative (RFC 2046 5.1.4, plainest first).

    `token` makes the boundary; a message is headers + `content_type()` + CRLF + `head()` + text parts +
    `between()` + html parts + `tail()`.
    """

    token: str

    def __post_init__(self) -> None:
        if not _BOUNDARY.fullmatch(self.token):
            raise ValueError(f"{self.token!r} cannot be in a boundary (RFC 2046 5.1.1)")

    @property
    def boundary(self) -> str:
        return f"=_{self.token}"

    def content_type(self) -> bytes:
        """The header fields of the whole message that say what it is made of."""
        kind = "Content-Type: multipart/alternative"
        return f'MIME-Version: 1.0\r\n{kind};\r\n boundary="{self.boundary}"\r\n'.encode("ascii")

    def head(self) -> bytes:
        return f"--{self.boundary}\r\n{_part_head('plain')}".encode("ascii")

    def between(self) -> bytes:
        # The CRLF before a delimiter belongs to it (RFC 2046 5.1.1), not to the body.
        return f"\r\n--{self.boundary}\r\n{_part_head('html')}".encode("ascii")

    def tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")


def plain_content_type() -> bytes:
    """The header fields of a message whose body is one plain text."""
    return f"MIME-Version: 1.0\r\n{_part_head('plain')}".removesuffix("\r\n").encode("ascii")


def _part_head(subtype: str) -> str:
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
