"""What stands before the body: document type, the attributes of `<html>`, `<meta>`."""

import re

from mailengine.domain.content.sanitise import policy
from mailengine.domain.content.sanitise.attributes import Writer
from mailengine.domain.content.sanitise.scanner import Token, attributes
from mailengine.domain.content.urls import decode_attribute

_DOCTYPE = re.compile(
    r"""!doctype\s+html(?:\s+public\s+["']([\w\s./:+-]*)["'](?:\s+["']([\w\s./:+-]*)["'])?)?\s*""", re.I
)


def doctype(body: str) -> str:
    """The document type as written where it is a known kind, HTML 5 otherwise."""
    match = _DOCTYPE.fullmatch(body)
    if match is None or match[1] is None:
        return "<!DOCTYPE html>"
    system = f' "{match[2]}"' if match[2] else ""
    return f'<!DOCTYPE html PUBLIC "{match[1]}"{system}>'


def namespaces(token: Token) -> list[tuple[str, str]]:
    """The attributes of `<html>`, without namespaces that mail does not know."""
    return [
        (name, value)
        for name, value in attributes(token.body)
        if not name.startswith("xmlns") or value in policy.NAMESPACES
    ]


def clean_meta(pairs: dict[str, str], writer: Writer) -> str | None:
    """The character set (the message is UTF-8, whatever the source says) and harmless names; no refresh."""
    if "charset" in pairs:
        return '<meta charset="utf-8">'
    content = decode_attribute(pairs.get("content", ""))
    kind = pairs.get("http-equiv", "").strip().lower()
    if kind == "content-type":
        return '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    if kind == "x-ua-compatible":
        return '<meta http-equiv="X-UA-Compatible" content="IE=edge">'
    name = pairs.get("name", "").strip().lower()
    if kind or name not in policy.META_NAMES:
        return None
    return f'<meta name="{name}" content="{writer.quoted(content)}">'
