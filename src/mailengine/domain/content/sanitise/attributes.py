"""Attributes of one element: which stay, their values checked, everything written anew in double quotes."""

import re
from collections.abc import Callable, Iterable
from html.entities import html5

from mailengine.domain.content.lexing import MARK, MARK_START, Tag
from mailengine.domain.content.sanitise import css, policy
from mailengine.domain.content.sanitise.keep import Keep, Place, balanced, clean_tag
from mailengine.domain.content.sanitise.policy import MAX_ATTRIBUTES
from mailengine.domain.content.urls import (
    IMAGE_SCHEMES,
    LINK_SCHEMES,
    decode_attribute,
    is_allowed,
    normalise,
)

Report = Callable[[str], None]

_TARGETS = frozenset({"_blank", "_self", "_top", "_parent"})
_TEXT_REFERENCE = re.compile(r"&(?:(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)?")
_STRAY = re.compile(r"\{([{%#])")
_GROUP_IN_GROUP = re.compile(r"\{\{[^{}|]*+\|[^{}]*+\}")
_STRAY_CODES = {"{": "{&#123;", "%": "{&#37;", "#": "{&#35;"}
_AT_STATEMENT_START = re.compile(r"(?:^|[;{}]|\*/)\s*$")


class Writer:
    """Writes texts and attributes of one page; reports what it leaves out."""

    def __init__(self, tags: list[Tag], keep: Keep, report: Report) -> None:
        self.tags = tags
        self.keep = keep
        self.report = report

    # Attributes

    def attributes(self, element: str, pairs: Iterable[tuple[str, str]]) -> str:
        """The allowed attributes as ` name="value"…`."""
        written: list[str] = []
        for name, raw in pairs:
            if len(written) >= MAX_ATTRIBUTES:
                self.report(f"attributes of <{element}> above {MAX_ATTRIBUTES}")
                break
            value = self._checked(element, name, raw)
            if value is not None:
                is_bare = (element, name) in policy.BARE or name == "itemscope"
                written.append(f" {name}" if is_bare else f' {name}="{self.quoted(value)}"')
        return "".join(written)

    def _checked(self, element: str, name: str, raw: str) -> str | None:
        if not policy.allows(element, name):
            self.report(f"{printable(name)} attribute of <{element}>")
            return None
        value = decode_attribute(raw)
        if name in policy.URL_ATTRIBUTES:
            return self._url(element, name, value)
        if name == "style":
            return self.style(element, value)
        if name == "srcset":
            return self._srcset(element, value)
        if name == "target" and value.lower() not in _TARGETS:
            return None
        return value

    def _url(self, element: str, name: str, value: str) -> str | None:
        image = name != "href"
        url = normalise(value)
        if is_allowed(
            url,
            self.tags,
            IMAGE_SCHEMES if image else LINK_SCHEMES,
            data_image=name == "src" and element == "img",
        ):
            return url
        self.report(f"address of {name} of <{element}>: {printable(MARK.sub('…', url), 60)}")
        return None

    def _srcset(self, element: str, value: str) -> str | None:
        """Candidates of `url descriptor`, each on the web."""
        candidates = [candidate.strip() for candidate in normalise(value).split(",")]
        if all(c and MARK_START not in c and is_allowed(c.split()[0], [], IMAGE_SCHEMES) for c in candidates):
            return ", ".join(candidates)
        self.report(f"address of srcset of <{element}>")
        return None

    def style(self, element: str, value: str) -> str | None:
        """A cleaned style attribute; None when nothing of it is left."""
        cleaned = css.clean_declarations(self.css_words(value))
        for what in cleaned.removed:
            self.report(f"{what} of <{element}>")
        return cleaned.text or None

    def quoted(self, value: str) -> str:
        """An attribute value between double quotes, its merge tags as words."""
        value = value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
        return self.words(neutralised(value), "attribute")

    # Merge tags

    def words(self, text: str, place: Place) -> str:
        """The text with each merge tag as a word; statements that do not close here are left out."""
        if MARK_START not in text:
            return text
        inside = [self.tags[int(index)] for index in MARK.findall(text)]
        statements = balanced(inside)
        if not statements:
            self.report("a condition that does not end in the same place")
        return MARK.sub(lambda m: self._word(self.tags[int(m[1])], place, statements), text)

    def _word(self, tag: Tag, place: Place, statements: bool) -> str:
        text = clean_tag(tag, place) if statements or tag.kind != "block" else None
        if text is None:
            self.report(f"merge tag {printable(tag.text, 60)}")
            return ""
        return self.keep.word(text)

    def css_words(self, text: str) -> str:
        """CSS with values as identifiers and statements as comments, which the CSS parser leaves in place."""
        if MARK_START not in text:
            return text
        statements = balanced([self.tags[int(index)] for index in MARK.findall(text)])
        parts: list[str] = []
        position = 0
        for match in MARK.finditer(text):
            parts.append(text[position : match.start()])
            word = self._word(self.tags[int(match[1])], "attribute", statements)
            tag = self.tags[int(match[1])]
            alone = tag.kind != "value" or _AT_STATEMENT_START.search("".join(parts[-2:])) is not None
            parts.append(f"/*{word}*/" if alone and word else word)
            position = match.end()
        return "".join((*parts, text[position:]))

    def sheet(self, content: str) -> str:
        """The content of a `<style>` element, cleaned."""
        cleaned = css.clean_sheet(self.css_words(content))
        for what in cleaned.removed:
            self.report(what)
        return cleaned.text


def neutralised(text: str) -> str:
    """Braces that would open a merge tag and are none, spelt so that Jinja does not see them.

    Otherwise a `{#` in one attribute and a `#}` in another would cut out the quotes between them.
    """
    return _STRAY.sub(_stray, text) if "{" in text else text


def _stray(match: re.Match[str]) -> str:
    if match[1] == "{" and is_spintax(match.string, match.start()):
        return "{{##}{"  # an empty comment parts the two braces
    return _STRAY_CODES[match[1]]


def is_spintax(text: str, position: int) -> bool:
    """Whether two braces begin a group in a group: `{{Hi|Hello} there|Welcome}`."""
    return _GROUP_IN_GROUP.match(text, position) is not None


def escaped_text(text: str) -> str:
    """Text with its character references kept and everything else that could be markup escaped."""
    if "&" in text:
        text = _TEXT_REFERENCE.sub(_reference, text)
    return neutralised(text.replace("<", "&lt;").replace(">", "&gt;"))


def _reference(match: re.Match[str]) -> str:
    name = match[1]
    if name is None:
        return "&amp;"
    if not name.startswith("#"):
        return match[0] if f"{name};" in html5 else f"&amp;{name};"
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    is_text = code in (9, 10) or (32 <= code < 0x110000 and not 0xD800 <= code < 0xE000 and code != 127)
    return match[0] if is_text else "\ufffd"


def printable(text: str, limit: int = 40) -> str:
    """A piece of the source for a report: one line, marks left out."""
    cut = MARK.sub("…", text)[:limit]
    return "".join(c if c.isprintable() else " " for c in cut)
