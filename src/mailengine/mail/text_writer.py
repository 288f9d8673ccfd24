"""Lines of plain text put together from fragments: collapses white space, holds back line breaks.

Invariants: a break is written only when text follows, so nothing ends in a blank or an empty line; at most
one blank line in a row; every line begins with the indents of the blocks it is in.
"""

import re

# Indents deeper than this are left out: nested lists by the thousand would make the text quadratic.
_MAX_DEPTH = 8

_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_PLAIN_WORD = re.compile(r"[!-~]+")
# Fill that keeps the body out of a mailbox's preview: zero-width space, joiner, hyphen and BOM. The zero
# width non-joiner is spelling in Persian, so it goes only beside white space.
_FILL = re.compile(r"[\u200b\u034f\u00ad\ufeff]+|\u200c+(?=[\s\u00a0]|$)|(?<=[\s\u00a0])\u200c+")


class TextWriter:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._indents: list[list[str]] = []  # [for the next line, for later lines]
        self._newlines = 0
        self._gap = ""
        self._line_open = False

    @property
    def position(self) -> int:
        return len(self._parts)

    @property
    def depth(self) -> int:
        return len(self._indents)

    def since(self, position: int) -> str:
        return "".join(self._parts[position:]).strip()

    def value(self) -> str:
        return re.sub(r"[ \t]+(?=\n|\Z)", "", "".join(self._parts))

    def text(self, text: str) -> None:
        """Flowing text: runs of white space are one space."""
        if _PLAIN_WORD.fullmatch(text):
            self.word(text)
            return
        collapsed = _SPACES.sub(" ", _FILL.sub("", text))
        if collapsed.startswith(" "):
            self._gap = self._gap or " "
        if body := collapsed.strip(" "):
            self.word(body)
            self._gap = " " if collapsed.endswith(" ") else ""

    def word(self, text: str) -> None:
        """`text` as it is, after whatever break, indent or gap is due."""
        if self._line_open:
            self._parts.append(self._gap)
        else:
            self._open_line()
        self._gap = ""
        self._parts.append(text)

    def suffix(self, text: str) -> None:
        """Put right behind what was written last, before a break that is due."""
        self._parts.append(text)

    def preformatted(self, text: str) -> None:
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                self.line_break()
            if line.strip():
                self.word(line.rstrip().expandtabs(8))

    def cell(self) -> None:
        """A gap between two cells of a row, if there is text on both sides."""
        self._gap = " | "

    def line(self) -> None:
        self._break(1)

    def paragraph(self) -> None:
        self._break(2)

    def line_break(self) -> None:
        """<br>: two in a row make a blank line, more do not make more."""
        self._break(1 if self._line_open else min(self._newlines + 1, 2))

    def indent(self, first: str, later: str) -> None:
        self._indents.append([first, later])

    def dedent(self, depth: int) -> None:
        del self._indents[depth:]

    def _break(self, newlines: int) -> None:
        self._newlines = max(self._newlines, newlines)
        self._line_open = False
        self._gap = ""

    def _open_line(self) -> None:
        if self._parts:
            self._parts.append("\n" * self._newlines)
        for indent in self._indents[:_MAX_DEPTH]:
            self._parts.append(indent[0])
            indent[0] = indent[1]
        self._newlines = 0
        self._line_open = True
