"""The body, written with every element closed where an HTML parser would close it.

Invariant: parsing what this writes gives back the same elements in the same places (checked by bleach's
parser on every save). So nothing is moved, opened again or closed by a parser later: that is where markup
mutates. Depth and number of elements are bounded, because parsers need time that grows with their product.
"""

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.lexing import MARK, MARK_START
from mailengine.domain.content.sanitise.attributes import Writer, escaped_text, printable
from mailengine.domain.content.sanitise.keep import clean_tag
from mailengine.domain.content.sanitise.policy import BLOCK, HEADINGS, INLINE, TABLE_PARTS, VOID

MAX_DEPTH = 200
MAX_ELEMENTS = 40_000
MAX_REFERENCES = 60_000  # bleach's parser copies a text again for each reference in it

BLANKS = (
    " \t\n"  # what HTML calls whitespace (3.2.5), after newlines are normalised: no-break spaces are text
)
_CELL_SCOPE = frozenset({"td", "th", "caption", "table"})
_ROW_GROUPS = frozenset({"thead", "tbody", "tfoot"})
_TABLE_CONTEXT = _ROW_GROUPS | {"table", "tr", "colgroup"}
_SPINTAX = frozenset("{|} \t\n")


class Tree:
    """The open elements of one body and what was written so far."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._stack: list[str] = []
        self._out: list[str] = []
        self._held: list[str] = []  # kept between <table> and its first row, which may yet open a row group
        self._elements = 0
        self._after_pre = False

    def finish(self) -> str:
        """Close what is open and give the whole body."""
        self._close_to(0)
        body = "".join(self._out)
        if body.count("&") > MAX_REFERENCES:
            raise InvalidInput(f"the page has more than {MAX_REFERENCES} character references (&…;)")
        return body

    def text(self, text: str) -> None:
        """Text with merge tags as marks."""
        position = 0
        if MARK_START in text:
            for match in MARK.finditer(text):
                self._plain(text[position : match.start()])
                self._tag(int(match[1]))
                position = match.end()
        self._plain(text[position:])

    def _plain(self, text: str) -> None:
        if self._after_pre:  # HTML 13.2.6.4.7: a parser drops a newline there, each time it reads the page
            text = text.lstrip("\n")
        if not text:
            return
        self._after_pre = False
        if self._stack and self._stack[-1] in _TABLE_CONTEXT:
            if not text.strip(BLANKS):
                self._append(text)
                return
            if _SPINTAX.issuperset(text) and "{{" not in text:
                self.kept(text)
                return
            self._open_cell()
        self._append(escaped_text(text))

    def _append(self, text: str) -> None:
        if self._held:
            self._held.append(text)
        else:
            self._out.append(text)

    def _release(self) -> None:
        self._out += self._held
        self._held = []

    def _tag(self, index: int) -> None:
        tag = self._writer.tags[index]
        text = clean_tag(tag, "text")
        if text is None:
            self._writer.report(f"merge tag {printable(tag.text, 60)}")
        else:
            self.kept(text)

    def kept(self, text: str) -> None:
        """Something that stays as it is and where it is: a merge tag, a comment, a style sheet."""
        if self._stack and self._stack[-1] == "colgroup":
            self._close_to(len(self._stack) - 1)
        self._after_pre = False
        self._count()
        comment = self._writer.keep.comment(text)
        if self._stack and self._stack[-1] == "table":
            self._held.append(comment)
        else:
            self._out.append(comment)

    def start(self, name: str, attributes: str) -> None:
        """An allowed start tag."""
        if name in TABLE_PARTS:
            if not self._prepare_table_part(name):
                return
        else:
            self._prepare(name)
        self._write(name, attributes)

    def _write(self, name: str, attributes: str) -> None:
        self._release()
        self._count()
        self._out.append(f"<{name}{attributes}>")
        self._after_pre = name == "pre"
        if name not in VOID:
            self._stack.append(name)
            if len(self._stack) > MAX_DEPTH:
                raise InvalidInput(f"the page nests elements more than {MAX_DEPTH} deep: close what is open")

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise InvalidInput(f"the page has more than {MAX_ELEMENTS} elements and merge tags")

    def _prepare(self, name: str) -> None:
        if self._stack and self._stack[-1] in _TABLE_CONTEXT:
            self._open_cell()
        if name == "li":
            self._close_item(frozenset({"li"}))
        elif name in ("dd", "dt"):
            self._close_item(frozenset({"dd", "dt"}))
        elif name == "a":
            self._close_nearest("a")
        if name in BLOCK:
            self._close_nearest("p")
            if name in HEADINGS and self._stack and self._stack[-1] in HEADINGS:
                self._close_to(len(self._stack) - 1)

    def _close_item(self, names: frozenset[str]) -> None:
        for index in range(len(self._stack) - 1, -1, -1):
            name = self._stack[index]
            if name in names:
                self._close_to(index)
                return
            if name in _CELL_SCOPE or (name in BLOCK and name not in ("address", "div", "p")):
                return

    def _close_nearest(self, name: str) -> None:
        """Close up to `name`, if it is open within this cell."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] == name:
                self._close_to(index)
                return
            if self._stack[index] in _CELL_SCOPE:
                return

    def _close_to(self, depth: int) -> None:
        if len(self._stack) > depth:
            self._release()
        while len(self._stack) > depth:
            self._out.append(f"</{self._stack.pop()}>")

    # Tables (HTML 13.2.6.4.9 to 15): missing row groups, rows and cells are opened, nothing is moved out.

    def _table(self) -> int | None:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] == "table":
                return index
        return None

    def _prepare_table_part(self, name: str) -> bool:
        """Bring the stack to where the part may stand; False when there is no table for it."""
        table = self._table()
        if table is None:
            self._writer.report(f"<{name}> outside a table")
            return False
        if name in ("td", "th"):
            self._in_row(table)
        elif name == "tr":
            self._in_group(table)
        elif name == "col":
            self._in_columns(table)
        else:
            self._close_to(table + 1)
        return True

    def _in_columns(self, table: int) -> None:
        if self._stack[-1] != "colgroup":
            self._close_to(table + 1)
            self._write("colgroup", "")

    def _in_group(self, table: int) -> None:
        if len(self._stack) > table + 1 and self._stack[table + 1] in _ROW_GROUPS:
            self._close_to(table + 2)
        else:
            self._close_to(table + 1)
            held, self._held = self._held, []  # a loop around rows belongs inside their group
            self._write("tbody", "")
            self._out += held

    def _in_row(self, table: int) -> None:
        if len(self._stack) > table + 2 and self._stack[table + 2] == "tr":
            self._close_to(table + 3)
            return
        self._in_group(table)
        self._write("tr", "")

    def _open_cell(self) -> None:
        table = self._table()
        assert table is not None
        self._in_row(table)
        self._write("td", "")

    def end(self, name: str) -> None:
        """An end tag: closes its element where that is open here, and is left out otherwise."""
        if name == "br":
            self.start("br", "")
        elif name in TABLE_PARTS or name == "table":
            self._end_table_part(name)
        else:
            self._end_plain(name)

    def _end_table_part(self, name: str) -> None:
        table = self._table()
        if table is None or name == "col":
            return
        for index in range(len(self._stack) - 1, table - 1, -1):
            if self._stack[index] == name:
                self._close_to(index)
                return

    def _end_plain(self, name: str) -> None:
        """An inline end tag closes no block inside its element, and no end tag what is outside the cell."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] == name:
                self._close_to(index)
                return
            if self._stack[index] in _CELL_SCOPE or (name in INLINE and self._stack[index] in BLOCK):
                return
