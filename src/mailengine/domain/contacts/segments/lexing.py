"""A segment's text in words: names and values, quoted texts, signs. Each knows where it stands."""

import re
from dataclasses import dataclass

from mailengine.core.errors import InvalidInput

MAX_CHARS = 20_000
_NEAR = 24  # characters that show the place

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<sign><=|>=|!=|<>|[=<>(),])
      | (?P<word>[^\s"=<>!(),]+)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class SegmentError(InvalidInput):
    """What is wrong with a segment's text, and where: `column` counts from 1."""

    def __init__(self, words: str, text: str, offset: int) -> None:
        self.words, self.column = words, offset + 1
        near = " ".join(text[offset : offset + _NEAR].split())
        place = f"column {self.column}, at `{near}`" if near else f"column {self.column}, at the end"
        super().__init__(f"{place}: {words}")


@dataclass(frozen=True, slots=True)
class Token:
    """`text` without quotes; `word` in small letters where it may be a keyword, else empty."""

    text: str
    offset: int
    kind: str

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else ""

    @property
    def sign(self) -> str:
        return self.text if self.kind == "sign" else ""

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text!r}"


def tokens(text: str) -> list[Token]:
    """The last one is the end. Raises SegmentError."""
    if len(text) > MAX_CHARS:
        raise InvalidInput(f"a segment's text can have {MAX_CHARS:,} characters at most")
    found: list[Token] = []
    offset = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, offset)
        if match is None:
            start = offset + len(text[offset:]) - len(text[offset:].lstrip())
            words = (
                "this quote is never closed" if text[start] == '"' else f"{text[start]!r} means nothing here"
            )
            raise SegmentError(words, text, start)
        kind = str(match.lastgroup)
        value = match[kind]
        if kind == "quoted":
            value = _ESCAPE.sub(r"\1", value[1:-1])
        found.append(Token(value, match.start(kind), kind))
        offset = match.end()
    return found
