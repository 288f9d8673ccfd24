"""The document around the body: doctype, html, head and body, which HTML fragment parsers drop.

Invariant: canonicalising a canonical page changes nothing.
"""

import re
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from mailengine.domain.content.lexing import MARK, Protected
from mailengine.domain.content.sanitise import head, outlook, policy
from mailengine.domain.content.sanitise.attributes import Writer, escaped_text, is_spintax, printable
from mailengine.domain.content.sanitise.keep import Keep, clean_tag
from mailengine.domain.content.sanitise.scanner import Token, attributes, scan
from mailengine.domain.content.sanitise.tree import BLANKS, Tree

MAX_REPORTED = 200
# "between" is after </head>, "closed" after </body>, "after" after </html>.
Mode = Literal["before", "head", "between", "body", "closed", "after"]


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that was left out; the line is the source's, None when only a later pass found it."""

    what: str
    where_line: int | None


@dataclass(slots=True)
class Page:
    """A canonical page: its body with words for what parsers must not see."""

    keep: Keep
    body: str = ""
    before_body: str = ""
    after_body: str = ""
    removed: list[Removal] = field(default_factory=list)

    def text(self, body: str | None = None) -> str:
        """The whole page with everything put back."""
        return self.keep.restore(f"{self.before_body}{self.body if body is None else body}{self.after_body}")


def canonical(protected: Protected, secret: str) -> Page:
    """The page with only what the policy allows, written in the one way this package writes it."""
    return _Builder(protected, secret).build()


class _Builder:
    def __init__(self, protected: Protected, secret: str) -> None:
        self._source = protected
        self._page = Page(Keep(secret))
        self._position = 0
        self._writer = Writer(protected.tags, self._page.keep, self._report)
        self._tree = Tree(self._writer)
        self._mode: Mode = "before"
        self._is_document = False
        # What stood before the first element, of the document or of the body: kept things, and blanks (False).
        self._pending: list[tuple[bool, str]] = []
        self._prologue: list[str] = []
        self._head: list[str] = []
        self._epilogue: list[str] = []
        self._html_attributes: str | None = None
        self._body_attributes: str | None = None

    def build(self) -> Page:
        self._report_strays()
        for token in scan(self._source.text):
            self._position = token.position
            _HANDLERS[token.kind](self, token)
        if not self._is_document:
            self._enter_body()
        self._page.body = self._tree.finish()
        if self._is_document:
            self._wrap()
        return self._page

    def _wrap(self) -> None:
        prologue = "".join(f"{part}\n" for part in self._prologue)
        head_items = "".join(self._head)
        self._page.before_body = (
            f"{prologue}<html{self._html_attributes or ''}>\n<head>{head_items}</head>\n"
            f"<body{self._body_attributes or ''}>"
        )
        self._page.after_body = "</body>\n</html>\n" + "".join(f"{part}\n" for part in self._epilogue)

    def _report(self, what: str) -> None:
        if len(self._page.removed) >= MAX_REPORTED:
            return
        before = self._source.text[: self._position]
        inside_tags = sum(self._source.tags[int(i)].text.count("\n") for i in MARK.findall(before))
        self._page.removed.append(Removal(what, before.count("\n") + inside_tags + 1))

    def _report_strays(self) -> None:
        source = self._source.source
        for position in self._source.strays[:MAX_REPORTED]:
            if source.startswith("{{", position) and not is_spintax(source, position):
                line = source.count("\n", 0, position) + 1
                self._page.removed.append(Removal("{{ that is never closed: it is shown as text", line))

    # Where things go

    def _enter_document(self) -> None:
        if not self._is_document:
            self._is_document = True
            self._prologue += [text for kept, text in self._pending if kept]
            self._pending = []

    def _enter_body(self) -> None:
        self._mode = "body"
        for kept, text in self._pending:
            (self._tree.kept if kept else self._tree.text)(text)
        self._pending = []

    def _kept(self, text: str) -> None:
        """A merge tag, comment or style sheet between elements."""
        if self._mode == "before" and not self._is_document:
            self._pending.append((True, text))
        elif self._mode in ("before", "head"):
            self._head.append(text)
        elif self._mode == "after":
            self._epilogue.append(text)
        else:
            if self._mode != "body":
                self._enter_body()
            self._tree.kept(text)

    # Tokens

    def _text(self, token: Token) -> None:
        if self._mode == "body":
            self._tree.text(token.body)
            return
        position = 0
        for match in MARK.finditer(token.body):
            self._outside_text(token.body[position : match.start()])
            self._outside_tag(match)
            position = match.end()
        self._outside_text(token.body[position:])

    def _outside_tag(self, match: re.Match[str]) -> None:
        if self._mode == "body":
            self._tree.text(match[0])
            return
        tag = self._source.tags[int(match[1])]
        text = clean_tag(tag, "text")
        if text is None:
            self._report(f"merge tag {printable(tag.text, 60)}")
        else:
            self._kept(text)

    def _outside_text(self, text: str) -> None:
        """Text outside the body: blanks are layout of the source, anything else begins the body."""
        if self._mode != "body" and text.strip(BLANKS):
            self._enter_body()
        if self._mode == "body":
            self._tree.text(text)
        elif self._mode == "head":
            self._head.append(text)
        elif self._mode == "before" and not self._is_document:
            self._pending.append((False, text))

    def _comment(self, token: Token) -> None:
        text = outlook.comment(token.body, self._writer)
        if text is not None:
            self._kept(text)

    def _declaration(self, token: Token) -> None:
        if token.body.lower().startswith("!doctype"):
            if self._mode == "before" and self._html_attributes is None:
                self._enter_document()
                self._prologue.append(head.doctype(token.body))
            return
        text = outlook.declaration(token.body)
        if text is not None:
            self._kept(text)
        else:
            self._report("a declaration")

    def _raw(self, token: Token) -> None:
        if token.name == "style":
            self._style(token)
        elif token.name == "title" and (
            self._mode == "head" or (self._mode == "before" and self._is_document)
        ):
            self._mode = "head"
            title = self._writer.words(escaped_text(token.content), "text")
            self._head.append(f"<title>{title}</title>")
        else:
            self._report(f"<{token.name}> with what it held")

    def _style(self, token: Token) -> None:
        sheet = self._writer.sheet(token.content)
        if not sheet:
            return
        pairs = [
            (n, v) for n, v in attributes(token.body) if n == "media" and re.fullmatch(r"[\w\s():,-]+", v)
        ]
        media = f' media="{escape(pairs[0][1])}"' if pairs else ""
        text = f'<style type="text/css"{media}>{sheet}</style>'
        if self._mode in ("before", "between") and self._is_document:
            self._head.append(text)
            self._mode = "head" if self._mode == "before" else self._mode
            return
        if self._mode != "head":
            self._enter_body()
        self._kept(text)

    def _start(self, token: Token) -> None:
        name = token.name
        if name in _STRUCTURE:
            _STRUCTURE[name](self, token)
        elif name not in policy.ELEMENTS:
            self._report(f"<{printable(name)}>")
        else:
            if self._mode != "body":
                self._enter_body()
            self._tree.start(name, self._writer.attributes(name, attributes(token.body)))

    def _html(self, token: Token) -> None:
        if self._mode == "before" and self._html_attributes is None:
            self._enter_document()
            self._html_attributes = self._writer.attributes("html", head.namespaces(token))

    def _head_start(self, _token: Token) -> None:
        if self._mode == "before":
            self._enter_document()
            self._mode = "head"

    def _body_start(self, token: Token) -> None:
        if self._body_attributes is not None or self._mode in ("body", "closed", "after"):
            return
        self._enter_document()
        self._body_attributes = self._writer.attributes("body", attributes(token.body))
        self._mode = "body"

    def _meta(self, token: Token) -> None:
        text = head.clean_meta(dict(attributes(token.body)), self._writer)
        if text is None or not self._is_document or self._mode not in ("before", "head", "between"):
            self._report("<meta>")
            return
        if self._mode == "before":
            self._mode = "head"
        self._head.append(text)

    def _end(self, token: Token) -> None:
        name = token.name
        if name == "head" and self._mode in ("before", "head") and self._is_document:
            self._mode = "between"
        elif name == "body" and self._mode == "body":
            self._mode = "closed"
        elif name == "html" and self._is_document:
            self._mode = "after"
        elif name in policy.ELEMENTS:
            if self._mode != "body" and name == "br":
                self._enter_body()
            self._tree.end(name)


_HANDLERS = {
    "text": _Builder._text,
    "start": _Builder._start,
    "end": _Builder._end,
    "raw": _Builder._raw,
    "comment": _Builder._comment,
    "declaration": _Builder._declaration,
}
_STRUCTURE = {
    "html": _Builder._html,
    "head": _Builder._head_start,
    "body": _Builder._body_start,
    "meta": _Builder._meta,
}
