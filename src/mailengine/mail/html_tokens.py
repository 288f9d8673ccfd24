"""HTML as a flat run of tags and texts, for the plain-text part; linear in time on any input.

No tree: tree builders (HTML5 13.2.6) are quadratic on deep nesting (200,000 nested <div> took lexbor
minutes) and move template statements that stand between rows out of their table. Jinja is put aside as
marks before tags are looked for, so that neither its quotes nor its angle brackets can end a tag.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

# Noncharacters (Unicode 23.7) frame a mark: no text may hold them, so they are removed from the input.
_MARK = re.compile("\ufdd0[sv](\\d+)\ufdd1")
_FOREIGN = re.compile("[\ufdd0\ufdd1]")
STATEMENT_MARK = "\ufdd0s\\d+\ufdd1"
MARK_START = "\ufdd0"

_OPENERS = re.compile(r"\{\{|\{%|\{#|<!--")
_CLOSERS = {"{{": "}}", "{%": "%}", "{#": "#}", "<!--": "-->"}
_OPENING = re.compile(r"\{%[-+]?\s*(?:if|for|block|with|filter|call|macro|autoescape|trans)\b")
_CLOSING = re.compile(r"\{%[-+]?\s*end(?!raw|set)")
_SETTING = re.compile(r"\{%[-+]?\s*(?:set|import|from|extends|include)\b")

_TAG = re.compile(r"<(?:(/?)([A-Za-z][^\s/>]*)|[!?/])")
_ATTRIBUTE = re.compile(
    r"""([^\s/>="'][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?|[\s/"'=]+"""
)
# HTML 13.1.2: what these hold is text up to their own end tag, whatever it looks like.
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.I)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}


# Tuples: made by the hundred thousand, and four times as fast to make as frozen dataclasses.
class Text(NamedTuple):
    text: str


class Start(NamedTuple):
    name: str
    attributes: dict[str, str]


class End(NamedTuple):
    name: str


Token = Text | Start | End


class Marks:
    """Jinja put aside: `protect` replaces it by marks, `restore` puts it back as it was."""

    def __init__(self) -> None:
        self._originals: list[str] = []

    def protect(self, html: str) -> str:
        """Comments go, but for template statements in them, which still take effect."""
        html = _FOREIGN.sub("", html)
        pieces, position, unclosed = [], 0, set()
        while match := _OPENERS.search(html, position):
            opener = match[0]
            # Remembering that a closer is nowhere ahead keeps this linear on a megabyte of "{{".
            end = -1 if opener in unclosed else html.find(_CLOSERS[opener], _inner_start(html, match))
            pieces.append(html[position : match.start()])
            if end < 0:
                unclosed.add(opener)
                end = len(html) if opener == "<!--" else match.end()
                pieces.append("" if opener == "<!--" else opener)
            else:
                end += len(_CLOSERS[opener])
                pieces.append(self._aside(html[match.start() : end]))
            position = end
        return "".join([*pieces, html[position:]])

    def restore(self, text: str) -> str:
        return _MARK.sub(lambda match: self._originals[int(match[1])], text)

    def needed(self, dropped: str) -> str:
        """Marks of the statements in a dropped text without which the rest would not be a template."""
        statements = [text for text in self._inside(dropped) if text.startswith("{%")]
        return self._kept(statements)

    def _inside(self, marked: str) -> list[str]:
        return [self._originals[int(number)] for number in _MARK.findall(marked)]

    def _aside(self, original: str) -> str:
        if original.startswith("<!--"):
            return self._kept(_statements(original))
        return self._mark(original)

    def _mark(self, original: str) -> str:
        self._originals.append(original)
        kind = "v" if original.startswith("{{") else "s"
        return f"\ufdd0{kind}{len(self._originals) - 1}\ufdd1"

    def _kept(self, statements: list[str]) -> str:
        opened = sum(1 for text in statements if _OPENING.match(text))
        closed = sum(1 for text in statements if _CLOSING.match(text))
        if opened == closed and not any(_SETTING.match(text) for text in statements):
            return ""
        return self._mark("".join(statements))


def _statements(comment: str) -> list[str]:
    found, start = [], comment.find("{%")
    while start >= 0 and (end := comment.find("%}", start)) >= 0:
        found.append(comment[start : end + 2])
        start = comment.find("{%", end)
    return found


def _inner_start(html: str, match: re.Match[str]) -> int:
    """Where to look for the closer; HTML 13.2.5.43 lets "<!-->" and "<!--->" close at once."""
    if match[0] != "<!--":
        return match.end()
    return match.end() - 2


def tokens(html: str) -> Iterator[Token]:
    """Tags with lower-case names, and texts with character references resolved (HTML 13.2.5, simplified)."""
    position = 0
    while match := _TAG.search(html, position):
        if match.start() > position:
            yield Text(unescape(html[position : match.start()]))
        name = (match[2] or "").lower()
        attributes, position = _attributes(html, match.end())
        if position < 0:  # end of file inside a tag: HTML drops the tag
            return
        if match[1]:
            yield End(name)
        elif name:
            yield Start(name, attributes)
        if name in _RAW_TEXT and not match[1]:
            found = _RAW_TEXT[name].search(html, position)
            end = found.start() if found else len(html)
            yield Text(html[position:end])
            position = end
    if position < len(html):
        yield Text(unescape(html[position:]))


def _attributes(html: str, position: int) -> tuple[dict[str, str], int]:
    """The attributes from `position` on, and where the tag ends (-1: never)."""
    attributes: dict[str, str] = {}
    while not html.startswith(">", position):
        match = _ATTRIBUTE.match(html, position)
        if match is None:
            return attributes, -1
        position = match.end()
        if match[1]:
            value = match[2] or match[3] or match[4] or ""
            attributes.setdefault(match[1].lower(), unescape(value))
    return attributes, position + 1
