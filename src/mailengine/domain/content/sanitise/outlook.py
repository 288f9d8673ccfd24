"""Comments: those that only Outlook reads (`<!--[if mso]>…<![endif]-->`), those that hide from it, plain ones.

Their content reaches Outlook as markup, and browsers never; so it is held to its own allow-list, token by
token, and a comment with anything else in it goes as a whole. It is not balanced: half a table in one comment
and the other half in the next is how such pages are written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from mailengine.domain.content.lexing import MARK_START
from mailengine.domain.content.sanitise import css, policy
from mailengine.domain.content.sanitise.attributes import Writer, escaped_text, neutralised
from mailengine.domain.content.sanitise.scanner import Token, attributes, scan
from mailengine.domain.content.urls import (
    IMAGE_SCHEMES,
    LINK_SCHEMES,
    decode_attribute,
    is_allowed,
    normalise,
)

_CONDITION = r"\[if\s+([A-Za-z0-9 ()!&|.]{1,80})\]>"
_HIDDEN = re.compile(rf"\s*{_CONDITION}(.*)<!\[endif\]", re.S | re.I)
_REVEALED = re.compile(rf"\s*{_CONDITION}\s*(?:<!(?:--)?\s*)?", re.I)
_REVEALED_END = re.compile(r"\s*(?:<!)?\[endif\]\s*", re.I)
_BARE_REVEALED = re.compile(r"!\[if\s+([A-Za-z0-9 ()!&|.]{1,80})\]", re.I)
_BARE_END = re.compile(r"!\[endif\]", re.I)
_PLAIN = re.compile(r"[^<>`]*")
_SCRIPT = re.compile(r"(?:javascript|vbscript|livescript|mocha)\s*:|expression\s*\(", re.I)


@dataclass(frozen=True, slots=True)
class Refused(Exception):  # a decision that ends the reading of one comment
    """Why an Outlook comment cannot stay."""

    what: str


def comment(body: str, writer: Writer) -> str | None:
    """A comment as it may stay, whole and final but for the words of its merge tags; None when it may not."""
    if match := _REVEALED.fullmatch(body):
        return f"<!--[if {_spaced(match[1])}]><!-->"
    if _REVEALED_END.fullmatch(body):
        return "<!--<![endif]-->"
    if match := _HIDDEN.fullmatch(body):
        return _hidden(match, writer)
    if _PLAIN.fullmatch(body) and "--" not in body and not body.startswith(("[", "-")):
        return f"<!--{writer.words(neutralised(body), 'comment')}-->" if body.strip() else None
    writer.report("a comment with markup in it")
    return None


def declaration(body: str) -> str | None:
    """`<![if …]>` and `<![endif]>`, written as the comments that mean the same and that HTML has."""
    if match := _BARE_REVEALED.fullmatch(body):
        return f"<!--[if {_spaced(match[1])}]><!-->"
    return "<!--<![endif]-->" if _BARE_END.fullmatch(body) else None


def _spaced(condition: str) -> str:
    return " ".join(condition.split())


def _hidden(match: re.Match[str], writer: Writer) -> str | None:
    try:
        content = "".join(_written(token, writer) for token in scan(match[2]))
    except Refused as refused:
        writer.report(f"an Outlook comment with {refused.what}")
        return None
    # Balanced as a whole: a condition that began here and ended elsewhere could cut the comment's end out.
    content = writer.words(content, "comment")
    if "--" in content.replace("<!--", "") and re.search(r"--!?>|<!--", content):
        writer.report("an Outlook comment with a comment in it")
        return None
    return f"<!--[if {_spaced(match[1])}]>{content}<![endif]-->"


def _written(token: Token, writer: Writer) -> str:
    if token.kind == "text":
        return escaped_text(token.body)
    if token.kind == "raw":
        return _raw(token, writer)
    if token.kind == "comment":
        return ""
    if token.kind == "declaration":
        raise Refused("a declaration in it")
    if token.name not in policy.ELEMENTS and not policy.OUTLOOK_ELEMENT.fullmatch(token.name):
        raise Refused(f"<{token.name[:40]}>")
    is_office = token.name not in policy.ELEMENTS
    name = token.spelt if is_office else token.name
    if token.kind == "end":
        return f"</{name}>"
    closing = "/>" if token.body.rstrip().endswith("/") and is_office else ">"
    return f"<{name}{''.join(_attributes(token, writer))}{closing}"


def _raw(token: Token, writer: Writer) -> str:
    if token.name != "style":
        raise Refused(f"<{token.name}>")
    sheet = writer.sheet(token.content)
    return f'<style type="text/css">{sheet}</style>'


def _attributes(token: Token, writer: Writer) -> Iterator[str]:
    for name, raw in attributes(token.body):
        if MARK_START in name or not policy.OUTLOOK_ATTRIBUTE.fullmatch(name):
            raise Refused(f"the attribute {escape(name[:40])}")
        if name in policy.OUTLOOK_REFUSED:
            raise Refused(f"the attribute {name}")
        value = _value(name, decode_attribute(raw), token.name, writer)
        if value is not None:
            quoted = (
                value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
            )
            yield f' {name}="{neutralised(quoted)}"'


def _value(name: str, value: str, element: str, writer: Writer) -> str | None:
    if name == "style":
        return _style(value, element, writer)
    if name in policy.OUTLOOK_URLS:
        url = normalise(value)
        schemes = LINK_SCHEMES if "href" in name else IMAGE_SCHEMES
        if not is_allowed(url, writer.tags, schemes):
            raise Refused(f"an address in {name}")
        return url
    if _SCRIPT.search(normalise(value)):
        raise Refused(f"a script in {name}")
    return value


def _style(value: str, element: str, writer: Writer) -> str | None:
    if MARK_START in value:
        return writer.style(element, value)
    cleaned = css.clean_declarations(value)
    for what in cleaned.removed:
        writer.report(f"{what} of <{element}>")
    return cleaned.text or None
