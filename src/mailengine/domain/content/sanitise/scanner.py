"""The tokens of an HTML source, in one linear pass, without building a tree.

What this reads as text is written as text (escaped) and what it reads as a tag is written anew, so it need
not agree with browsers to be safe, only to be faithful.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mailengine.domain.content.lexing import TAG_BODY
from mailengine.domain.content.sanitise.policy import RAW_TEXT

TokenKind = Literal["text", "start", "end", "raw", "comment", "declaration"]

_TAG = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*+)({TAG_BODY})>")
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>][^\s>]*))?""")
_DECLARATION = re.compile(r"<[!?][^>]*>")


@dataclass(slots=True)
class Token:
    """One token; `position` counts in the protected source.

    `name` is the element in lower case, `spelt` as written (Office's XML tells case apart).
    `body` is the text, the attributes as written, or what a comment or
    declaration holds; `content` is what a raw-text element holds up to its end tag.
    """

    kind: TokenKind
    position: int
    name: str = ""
    body: str = ""
    content: str = ""
    spelt: str = ""


def scan(source: str) -> Iterator[Token]:
    """Every token of the source in order; whatever is not markup is text."""
    return _Scanner(source).tokens()


def attributes(body: str) -> Iterator[tuple[str, str]]:
    """Names (lower case) and undecoded values of a start tag's attributes, the first of each name only."""
    seen: set[str] = set()
    for name, value in _ATTRIBUTE.findall(body):
        lowered = name.lower()
        if lowered not in seen:
            seen.add(lowered)
            yield lowered, value[1:-1] if value[:1] in ('"', "'") else value


class _Scanner:
    def __init__(self, source: str) -> None:
        self._source = source
        self._last_end = source.rfind(">")
        self._never_closed: set[str] = set()
        self._comment_ends = True  # until a search finds no `-->`

    def tokens(self) -> Iterator[Token]:
        source, position, text_start = self._source, 0, 0
        while (position := source.find("<", position)) != -1 and position < self._last_end:
            token, end = self._markup(position)
            if token is None:
                position += 1
                continue
            if text_start < position:
                yield Token("text", text_start, body=source[text_start:position])
            yield token
            position = text_start = end
        if text_start < len(source):
            yield Token("text", text_start, body=source[text_start:])

    def _markup(self, position: int) -> tuple[Token | None, int]:
        follows = self._source[position + 1 : position + 2]
        if follows in ("!", "?"):
            return self._comment_or_declaration(position)
        match = _TAG.match(self._source, position)
        if match is None:
            return None, position
        name = match[2].lower()
        if match[1]:
            return Token("end", position, name, spelt=match[2]), match.end()
        if name in RAW_TEXT:
            return self._raw(match, name)
        return Token("start", position, name, match[3], spelt=match[2]), match.end()

    def _raw(self, match: re.Match[str], name: str) -> tuple[Token, int]:
        """An element whose content is no markup. Where its end tag is missing, the start tag stands alone."""
        start = match.end()
        end = None
        if name not in self._never_closed and not (match[3].endswith("/") and name in ("svg", "math")):
            end = re.compile(rf"</{name}(?=[\s/>])[^>]*>", re.I).search(self._source, start)
        if end is None:
            self._never_closed.add(name)
            return Token("start", match.start(), name, match[3]), start
        return Token("raw", match.start(), name, match[3], self._source[start : end.start()]), end.end()

    def _comment_or_declaration(self, position: int) -> tuple[Token | None, int]:
        source = self._source
        if not source.startswith("<!--", position):
            match = _DECLARATION.match(source, position)
            if match is None:
                return None, position
            return Token("declaration", position, body=match[0][1:-1]), match.end()
        # HTML 13.2.5.43: `<!-->` and `<!--->` are whole comments.
        for abrupt in ("<!-->", "<!--->"):
            if source.startswith(abrupt, position):
                return Token("comment", position), position + len(abrupt)
        return self._comment(position)

    def _comment(self, position: int) -> tuple[Token, int]:
        """Up to the first `-->` or `--!>` (HTML 13.2.5.50); an unclosed comment loses its opening only."""
        match = _COMMENT_END.search(self._source, position + 4) if self._comment_ends else None
        if match is None:
            self._comment_ends = False
            return Token("declaration", position, body="!--"), position + 4
        return Token("comment", position, body=self._source[position + 4 : match.start()]), match.end()


_COMMENT_END = re.compile(r"--!?>")
