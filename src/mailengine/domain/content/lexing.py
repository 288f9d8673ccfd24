"""Where the merge tags are: `{{ }}`, `{% %}` and `{# #}` found in one linear pass over any source.

Invariants: a token never contains another opener, so an unclosed `{{` cannot swallow the page up to the next
tag; the pass is linear however many openers are never closed; `restore(protect(s)) == s`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "block", "comment"]

# U+FDD0 and U+FDD1 are noncharacters (Unicode 23.7): no text that is meant for exchange holds them.
MARK_START, MARK_END = "\ufdd0", "\ufdd1"
MARK = re.compile(f"{MARK_START}([0-9]+){MARK_END}")
MARK_PATTERN = f"{MARK_START}[0-9]+{MARK_END}"

_OPENER = re.compile(r"\{[{%#]")
_CLOSERS: dict[str, tuple[Kind, str]] = {
    "{{": ("value", "}}"),
    "{%": ("block", "%}"),
    "{#": ("comment", "#}"),
}
# A longer tag is a page that was swallowed by a missing `}}`, not a tag.
MAX_TAG_CHARS = 2_000
STRING = r""""[^"\\]*+(?:\\.[^"\\]*+)*"|'[^'\\]*+(?:\\.[^'\\]*+)*'"""
_STRING = re.compile(STRING, re.S)
# What follows a tag's name. A lookahead gives nothing back: an unclosed quote costs one look, not exponentially many.
# No group is possessive or atomic, which Python 3.11.2 (Debian 12) gets wrong: https://github.com/python/cpython/issues/106052
TAG_BODY = r"""(?:[^>=]++|(?=(?P<value>=\s*"[^"]*"|=\s*'[^']*'|=))(?P=value))*"""


@dataclass(frozen=True, slots=True)
class Tag:
    """One merge tag and where it stands in its source."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def inner(self) -> str:
        """The expression or statement, without delimiters and whitespace-control signs."""
        return self.text[2:-2].strip("-+ \t\r\n")

    @property
    def word(self) -> str:
        """The first word: the statement's name (`if`, `endif`, `include`)."""
        return self.inner.split(None, 1)[0] if self.inner else ""


@dataclass(frozen=True, slots=True)
class Protected:
    """A source whose tags are marks that no other rule can mistake for markup."""

    text: str
    tags: list[Tag]
    source: str
    strays: list[int]  # positions in `source` of openers that open nothing

    def restore(self, text: str, change: Callable[[Tag], str] | None = None) -> str:
        """Put the tags back, each through `change` where one is given."""
        return MARK.sub(lambda m: _text_of(self.tags[int(m[1])], change), text)


def _text_of(tag: Tag, change: Callable[[Tag], str] | None) -> str:
    return tag.text if change is None else change(tag)


class _Closers:
    """Remembers where the next closer of each kind is, so that a thousand strays cost one search."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[str, int] = {}

    def after(self, closer: str, position: int) -> int:
        found = self._found.get(closer, 0)
        if found != -1 and found < position:
            found = self._source.find(closer, position)
            self._found[closer] = found
        return found


def find_tags(source: str) -> tuple[list[Tag], list[int]]:
    """The merge tags in order, and the positions of openers that open nothing."""
    tags: list[Tag] = []
    strays: list[int] = []
    closers = _Closers(source)
    position = 0
    while match := _OPENER.search(source, position):
        start = match.start()
        if source[start + 1] == "{" and source[start + 2 : start + 3] in ("{", "%", "#"):
            position = start + 1  # `{{{ name }}|…}`: a spintax brace before a tag
            continue
        tag = _tag_at(source, start, closers)
        if tag is None:
            strays.append(start)
            position = start + 2
        else:
            tags.append(tag)
            position = tag.end
    return tags, strays


def _tag_at(source: str, start: int, closers: _Closers) -> Tag | None:
    kind, closer = _CLOSERS[source[start : start + 2]]
    close = closers.after(closer, start + 2)
    if close == -1:
        return None
    text = source[start : close + 2] if close - start <= MAX_TAG_CHARS or kind == "comment" else ""
    if not text or (kind != "comment" and not _is_one_expression(text[2:-2])):
        return None
    return Tag(kind, text, start, close + 2)


def _is_one_expression(inner: str) -> bool:
    """No brace but in a string, and no unclosed quote: what Jinja ends at this closer too (its lexer reads
    strings first)."""
    if _OPENER.search(inner):
        return False
    bare = _STRING.sub("", inner) if '"' in inner or "'" in inner else inner
    return not any(mark in bare for mark in "{}\"'")


def protect(source: str) -> Protected:
    """Replace every tag by a mark; marks that the source itself holds are dropped."""
    if MARK_START in source or MARK_END in source:
        source = source.replace(MARK_START, "").replace(MARK_END, "")
    tags, strays = find_tags(source)
    parts: list[str] = []
    position = 0
    for index, tag in enumerate(tags):
        parts += (source[position : tag.start], MARK_START, str(index), MARK_END)
        position = tag.end
    parts.append(source[position:])
    return Protected("".join(parts), tags, source, strays)
