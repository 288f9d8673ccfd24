"""The plain-text part of an HTML mail: what a reader sees, in reading order.

Invariants: template statements, expressions and spintax come through as they were; what the HTML hides
(preheaders, style sheets) is left out; no line ends in a blank, no two blank lines follow each other;
time is linear in the input, and nothing recurses, whatever the nesting.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mailengine.mail.html_tokens import MARK_START, STATEMENT_MARK, End, Marks, Start, Text, Token, tokens
from mailengine.mail.text_writer import TextWriter

_PARAGRAPHS = frozenset({
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre", "table", "form",
    "fieldset", "figure", "address", "hr",
})  # fmt: skip
_LINES = frozenset({
    "div", "section", "article", "header", "footer", "main", "nav", "aside", "center", "li", "dt", "dd",
    "tr", "caption", "figcaption", "details", "summary", "option", "body", "html", "legend",
})  # fmt: skip
_BLOCKS = _PARAGRAPHS | _LINES
_UNSEEN = frozenset({
    "script", "style", "title", "textarea", "select", "template", "svg", "math", "object", "iframe",
    "audio", "video", "noembed", "noframes", "xmp",
})  # fmt: skip
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_INDENTING = frozenset({"ul", "ol", "blockquote"})
# HTML 13.1.2.4: a start tag that ends an element whose own end tag was left out.
_ENDED_BY = {
    "p": _BLOCKS | _CELLS, "li": frozenset({"li"}), "tr": frozenset({"tr"}),
    "td": frozenset({"td", "th", "tr"}), "th": frozenset({"td", "th", "tr"}),
}  # fmt: skip
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|max-height\s*:\s*0(?:px)?\s*(?:;|!|$)",
    re.I,
)
_UNFOLLOWABLE = re.compile(r"\s*(?:#|javascript:|data:|vbscript:|$)", re.I)
_NO_SCHEME = re.compile(r"^(?:mailto:|tel:|https?://)|/$|\?subject=.*$", re.I)
# A line of nothing but statements would leave an empty line behind when the template is rendered.
_STATEMENT_LINES = re.compile(rf"(\A|\n+) *({STATEMENT_MARK}(?:\s*{STATEMENT_MARK})*) *(?=\n)(\n+)")
_STATEMENT_AND_GAP = re.compile(rf"({STATEMENT_MARK})[ ]*(\n*)[ ]*")


def html_to_text(html: str) -> str:
    """Readable text with links as `text (url)`; "" when there is nothing to see."""
    marks = Marks()
    stream = list(tokens(marks.protect(html)))
    text = _Conversion(marks, _rows_on_one_line(stream)).run(stream)
    return marks.restore(_STATEMENT_LINES.sub(_without_own_line, text).strip())


def _without_own_line(match: re.Match[str]) -> str:
    """Keeps, around the statements, the largest of the gaps between the lines of text."""
    pieces, widest = [match[1]], len(match[1]) or 2
    for statement, gap in _STATEMENT_AND_GAP.findall(match[2] + match[3]):
        pieces.append(statement + gap[widest:])
        widest = max(widest, len(gap))
    return "".join(pieces)


def _rows_on_one_line(stream: list[Token]) -> set[int]:
    """Indices of the <tr> whose cells hold no blocks: rows of data, not of a layout."""
    rows: set[int] = set()
    open_rows: list[int] = []  # a table is -1, so that a row can end without its end tag
    for index, token in enumerate(stream):
        if isinstance(token, Text) or token.name in _CELLS:
            continue
        if token.name in ("tr", "table"):
            _close_row(token, open_rows)
        if not isinstance(token, Start):
            continue
        if token.name == "tr":
            rows.add(index)
        elif open_rows and (token.name in _BLOCKS or token.name == "br"):
            rows.discard(open_rows[-1])
        if token.name in ("tr", "table"):
            open_rows.append(index if token.name == "tr" else -1)
    return rows


def _close_row(token: Start | End, open_rows: list[int]) -> None:
    """What a <tr>, </tr> or </table> implies for the innermost table."""
    if token.name == "table" and isinstance(token, Start):
        return
    while open_rows and open_rows[-1] != -1:
        open_rows.pop()
    if token.name == "table" and open_rows:
        open_rows.pop()


@dataclass(slots=True)
class _Hidden:
    """An element that is not shown: its open descendants, and the text in it that held statements."""

    open: list[str]
    counts: Counter[str]
    dropped: list[str] = field(default_factory=list)

    def ends_with(self, token: Token) -> bool:
        """True when `token` is its end tag; also keeps count of what is open inside."""
        if isinstance(token, Text):
            if MARK_START in token.text:
                self.dropped.append(token.text)
        elif isinstance(token, Start):
            if token.name not in _VOID:
                self.open.append(token.name)
                self.counts[token.name] += 1
        elif self.counts[token.name]:
            while self.open:
                name = self.open.pop()
                self.counts[name] -= 1
                if name == token.name:
                    break
        return not self.open

    def ended_before(self, token: Token) -> bool:
        """True when `token` ends it without belonging to it (an end tag left out)."""
        if isinstance(token, Start):
            return len(self.open) == 1 and token.name in _ENDED_BY.get(self.open[0], ())
        if isinstance(token, End) and not self.counts[token.name]:
            return self.open[0] in _ENDED_BY and token.name in (_BLOCKS | {"tbody", "body", "html"})
        return False


@dataclass(slots=True)
class _Link:
    url: str
    position: int


@dataclass(slots=True)
class _List:
    name: str
    depth: int
    number: int | None


class _Conversion:
    """One pass over the tokens; the state that text alone does not carry."""

    def __init__(self, marks: Marks, rows_on_one_line: set[int]) -> None:
        self._marks = marks
        self._rows = rows_on_one_line
        self._out = TextWriter()
        self._hidden: _Hidden | None = None
        self._link: _Link | None = None
        self._containers: list[_List] = []
        self._counts: Counter[str] = Counter()
        self._pre = 0
        self._one_line = False
        self._starters: dict[str, Callable[[Start], None]] = {
            "a": self._start_link, "img": self._image, "br": self._line_break, "hr": self._rule,
            "li": self._item, "pre": self._start_pre,
            **dict.fromkeys(_INDENTING, self._start_container),
        }  # fmt: skip

    def run(self, stream: list[Token]) -> str:
        for index, token in enumerate(stream):
            if self._hidden is not None and not self._leave_hidden(self._hidden, token):
                continue
            if isinstance(token, Text):
                self._text(token.text)
            elif isinstance(token, Start):
                self._start(token, index)
            else:
                self._end(token.name)
        self._end_link()
        return self._out.value()

    def _leave_hidden(self, hidden: _Hidden, token: Token) -> bool:
        """Whether `token` is to be shown again."""
        shown = hidden.ended_before(token)
        if shown or hidden.ends_with(token):
            self._hidden = None
            if needed := self._marks.needed("".join(hidden.dropped)):
                self._out.text(needed)
        return shown

    def _text(self, text: str) -> None:
        if self._pre:
            self._out.preformatted(text)
        else:
            self._out.text(text)

    def _start(self, token: Start, index: int) -> None:
        if token.name in _UNSEEN or _is_hidden(token):
            if token.name not in _VOID:
                self._hidden = _Hidden([token.name], Counter({token.name: 1}))
            return
        self._break_at(token.name)
        if token.name == "tr":
            self._one_line = index in self._rows
        elif token.name in _CELLS:
            self._cell()
        if starter := self._starters.get(token.name):
            starter(token)

    def _end(self, name: str) -> None:
        if name == "a":
            self._end_link()
        elif name in _INDENTING:
            self._end_container(name)
        elif name == "pre":
            self._pre = max(self._pre - 1, 0)
        elif name == "tr":
            self._one_line = False
        elif name == "li" and self._containers:
            self._out.dedent(self._containers[-1].depth)
        self._break_at(name)

    def _break_at(self, name: str) -> None:
        nested_list = name in ("ul", "ol") and self._counts["ul"] + self._counts["ol"] > 0
        if name in _LINES or nested_list:
            self._out.line()
        elif name in _PARAGRAPHS:
            self._out.paragraph()

    def _cell(self) -> None:
        if self._one_line:
            self._out.cell()
        else:
            self._out.line()

    def _start_link(self, token: Start) -> None:
        self._end_link()
        url = token.attributes.get("href", "")
        if not _UNFOLLOWABLE.match(url):
            self._link = _Link(url.strip(), self._out.position)

    def _end_link(self) -> None:
        if self._link is None:
            return
        link, self._link = self._link, None
        label = self._out.since(link.position)
        shown = re.sub(r"^mailto:|^tel:", "", link.url, flags=re.I)
        if not label:
            self._out.word(shown)
        elif _NO_SCHEME.sub("", label).casefold() != _NO_SCHEME.sub("", shown).casefold():
            self._out.suffix(f" ({shown})")

    def _image(self, token: Start) -> None:
        if alt := token.attributes.get("alt"):
            self._out.text(alt)

    def _line_break(self, _: Start) -> None:
        self._out.line_break()

    def _rule(self, _: Start) -> None:
        self._out.word("-" * 10)
        self._out.paragraph()

    def _start_pre(self, _: Start) -> None:
        self._pre += 1

    def _start_container(self, token: Start) -> None:
        start = token.attributes.get("start", "1")
        number = None if token.name == "ul" else int(start) if start.isdecimal() and len(start) < 6 else 1
        self._containers.append(_List(token.name, self._out.depth, number))
        self._counts[token.name] += 1
        if token.name == "blockquote":
            self._out.indent("> ", "> ")

    def _end_container(self, name: str) -> None:
        while self._counts[name]:
            container = self._containers.pop()
            self._counts[container.name] -= 1
            self._out.dedent(container.depth)
            if container.name == name:
                break

    def _item(self, _: Start) -> None:
        if not self._containers or self._containers[-1].name == "blockquote":
            self._containers.append(_List("ul", self._out.depth, None))
            self._counts["ul"] += 1
        container = self._containers[-1]
        self._out.dedent(container.depth)
        bullet = "- " if container.number is None else f"{container.number}. "
        if container.number is not None:
            container.number += 1
        self._out.indent(bullet, " " * len(bullet))


def _is_hidden(token: Start) -> bool:
    """Hidden for every recipient: what a template statement may undo is not."""
    if not token.attributes:
        return False
    style = token.attributes.get("style", "")
    if "hidden" not in token.attributes and not _HIDING.search(style):
        return False
    return MARK_START not in style and not any(MARK_START in name for name in token.attributes)
