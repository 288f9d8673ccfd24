"""What no HTML rule may see: merge tags, cleaned style sheets and Outlook comments, behind random words.

Invariants: a word is unguessable, so no source can smuggle one in; a tag that is put back into an attribute
holds no double quote, and none holds anything that begins markup, so that the page is safe in a browser even
before it is rendered.
"""

import re
from html import unescape
from typing import Literal

from mailengine.domain.content.lexing import STRING, Tag

Place = Literal["text", "attribute", "comment"]

STATEMENTS_INSIDE = frozenset({"if", "elif", "else", "endif", "for", "endfor"})
_REFUSED_STATEMENTS = frozenset({"raw", "endraw"})
_STRINGS = re.compile(f"({STRING})", re.S)
# Words are spelt in Vai letters: identifiers to a CSS parser, and bleach drops what is not ASCII before it looks
# for a scheme, so that it judges an address by its static parts.
_DIGITS = "".join(chr(0xA500 + digit) for digit in range(16))
_START, _MIDDLE, _END = "\ua510", "\ua511", "\ua512"
_SPELT = {ord(digit): _DIGITS[int(digit, 16)] for digit in "0123456789abcdef"}
_READ = {ord(letter): "0123456789abcdef"[index] for index, letter in enumerate(_DIGITS)}
WORD = re.compile(f"{_START}[{_DIGITS}]{{24}}{_MIDDLE}[{_DIGITS}]+{_END}")


class Keep:
    """Texts of one page behind words of one random stem."""

    def __init__(self, secret: str) -> None:
        self._stem = f"{_START}{secret.translate(_SPELT)}{_MIDDLE}"
        self._texts: list[str] = []
        number = f"{self._stem}([{_DIGITS}]+){_END}"
        self._pattern = re.compile(rf"<!--{number}-->|/\*{number}\*/|{number}")

    def word(self, text: str) -> str:
        """A word that stands for `text` in attributes, style sheets and plain text."""
        self._texts.append(text)
        return f"{self._stem}{format(len(self._texts) - 1, 'x').translate(_SPELT)}{_END}"

    def comment(self, text: str) -> str:
        """A comment that stands for `text`: parsers leave it where it is, even between table rows."""
        return f"<!--{self.word(text)}-->"

    def restore(self, text: str) -> str:
        """Put everything back; a kept text may hold words itself (a style sheet with merge tags)."""
        while self._stem in text:
            text = self._pattern.sub(self._text, text)
        return text

    def _text(self, match: re.Match[str]) -> str:
        number = match[1] or match[2] or match[3]
        return self._texts[int(number.translate(_READ), 16)]


def clean_tag(tag: Tag, place: Place) -> str | None:
    """The tag as it may stand at a place; None when it may not."""
    if tag.kind == "comment":
        return None if re.search(r"[<>\"'&`]|--", tag.text) else tag.text
    if tag.kind == "block" and tag.word in _REFUSED_STATEMENTS:
        return None
    text = _decoded(tag.text) if "&" in tag.text else tag.text
    pieces = _STRINGS.split(text[2:-2])
    inner = "".join(_string(p, place) if i % 2 else _bare(p) for i, p in enumerate(pieces))
    bare = "".join(pieces[::2])
    if '"' in bare or "'" in bare or "\\" in bare or "{" in inner or "}" in inner:
        return None
    if place != "text" and ("--" in inner or '"' in inner):
        return None
    return f"{text[:2]}{inner}{text[-2:]}"


def _decoded(text: str) -> str:
    """Editors write `&quot;` and `&gt;` inside tags: decoded until nothing changes, so that once is enough."""
    for _ in range(5):
        decoded = unescape(text)
        if decoded == text:
            return text
        text = decoded
    return text.replace("&", "")


def _bare(text: str) -> str:
    """A comparison that no HTML parser takes for a tag: `a <b` becomes `a < b`."""
    return re.sub(r"<(?=[A-Za-z/!?])", "< ", text)


def _string(text: str, place: Place) -> str:
    """A constant without the characters that could begin markup, or end the attribute around it."""
    inner = text[1:-1].replace("<", "\\x3c").replace(">", "\\x3e").replace("{", "\\x7b").replace("}", "\\x7d")
    if place == "text" or (text[0] == "'" and '"' not in inner):
        return f"{text[0]}{inner}{text[0]}"
    inner = inner.replace('\\"', '"').replace('"', "\\x22")
    if text[0] == '"':
        inner = re.sub(r"(?<!\\)'", r"\\x27", inner)
    return f"'{inner}'"


def balanced(tags: list[Tag]) -> bool:
    """Whether the statements among the tags open and close what is theirs, and nothing else."""
    open_statements: list[str] = []
    for tag in tags:
        if tag.kind != "block":
            continue
        word = tag.word
        if word not in STATEMENTS_INSIDE:
            return False
        if word in ("if", "for"):
            open_statements.append(word)
        elif not open_statements or (word.startswith("end") and open_statements.pop() != word[3:]):
            return False
    return not open_statements
