"""The filters and tests of the merge language: total functions on what contacts hold, with bounded output.

Invariants: no filter returns more than MAX_TEXT_CHARS (a chain of `replace` cannot grow a value without end);
a tag without value is refused by name (`MissingTag`) by every filter but `default`; nothing here escapes, the
compiled template does that once, at the output.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, Undefined

from mailengine.core.errors import InvalidInput

MAX_TEXT_CHARS = 100_000
MAX_LOOP_ITEMS = 100
_WORD = re.compile(r"([-\s({\[<]+)")
_DATE_FORMAT = re.compile(r"(?:%[-]?[aAbBcdHIjmMpSUwWxXyYZz%]|[^%\x00])*")
_SAFE_SCHEME = re.compile(r"\s*(?:https?://|mailto:|tel:|sms:)", re.I)
_STYLE = re.compile(r"[\w#%.,()\s:;!'+-]{0,500}")
_STYLE_SCRIPT = re.compile(r"expression|javascript|behavior|binding|import|url\s*\(", re.I)
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")


class RenderError(InvalidInput):
    """A template that compiled cannot be rendered with these values; the message names the merge tag."""


class MissingTag(StrictUndefined):
    """A name that the values lack: false in a condition, refused everywhere else."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # the base class raises here
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return isinstance(other, Undefined) or other is None or other == ""

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(MissingTag)

    @property
    def tag_name(self) -> str:
        """The name as the template spells it."""
        return str(self._undefined_name)


def refuse_missing(value: object) -> None:
    """Raise RenderError when `value` is a tag without value."""
    if isinstance(value, MissingTag):
        raise RenderError(f'merge tag "{value.tag_name}" has no value for this recipient: give it a default')
    if isinstance(value, Undefined):
        raise RenderError("a merge tag has no value for this recipient: give it a default")


def text_of(value: object) -> str:
    """The text that a value prints as: nothing for None, `true` and `false`, a list's items with commas."""
    if isinstance(value, str):
        return value
    refuse_missing(value)
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ", ".join(map(text_of, value))
        case _:
            return str(value)


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise RenderError(f"a merge tag grew above {MAX_TEXT_CHARS} characters: use fewer filters on it")
    return text


def _is_empty(value: object) -> bool:
    """Missing, None, blank text and empty lists count as missing; 0 and False are values."""
    if isinstance(value, str):
        return not value.strip()
    if value is None or isinstance(value, Undefined):
        return True
    return isinstance(value, list | tuple | Mapping) and not value


def _default(value: object, fallback: object = "", _boolean: bool = True) -> object:
    return fallback if _is_empty(value) else value


def _title(value: object) -> str:
    parts = _WORD.split(_bounded(text_of(value)))
    return "".join(part[:1].upper() + part[1:].lower() for part in parts)


def _truncate(value: object, length: int = 255, killwords: bool = False, end: str = "…") -> str:
    text = text_of(value)
    if len(text) <= length:
        return text
    cut = text[: max(0, length - len(end))]
    if not killwords:
        cut = cut.rsplit(None, 1)[0] if cut.strip() else cut
    return _bounded(cut.rstrip() + end)


def _replace(value: object, old: str, new: str) -> str:
    text, old, new = text_of(value), text_of(old), text_of(new)
    if not old:
        return text
    growth = text.count(old) * max(0, len(new) - len(old))
    if len(text) + growth > MAX_TEXT_CHARS:
        raise RenderError(f"a merge tag grew above {MAX_TEXT_CHARS} characters: use fewer filters on it")
    return text.replace(old, new)


def _date(value: object, layout: str = "%d %B %Y") -> str:
    if _is_empty(value):
        refuse_missing(value)
        return ""
    # Only directives without width: `%1000000d` would ask the C library for a megabyte.
    if len(layout) > 64 or not _DATE_FORMAT.fullmatch(layout):
        raise RenderError(f"date format {layout!r} is not understood: use directives such as %d %B %Y")
    moment = value if isinstance(value, date) else _parsed_date(text_of(value))
    return text_of(value) if moment is None else moment.strftime(layout)


def _parsed_date(text: str) -> date | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None  # a contact's own words: better shown as they are than a failed message


def _number(value: object, digits: int = 0) -> str:
    text = text_of(value)
    try:
        return f"{float(text.strip()):,.{min(max(int(digits), 0), 10)}f}"
    except (ValueError, OverflowError):
        return text


def _join(value: object, separator: str = ", ") -> str:
    refuse_missing(value)
    if not isinstance(value, list | tuple):
        return text_of(value)
    parts = [text_of(part) for part in value]
    length = sum(map(len, parts)) + len(text_of(separator)) * max(0, len(parts) - 1)
    if length > MAX_TEXT_CHARS:
        raise RenderError(f"a merge tag grew above {MAX_TEXT_CHARS} characters: use fewer filters on it")
    return text_of(separator).join(parts)


def _first(value: object) -> object:
    refuse_missing(value)
    return value[0] if isinstance(value, str | list | tuple) and value else None


def _last(value: object) -> object:
    refuse_missing(value)
    return value[-1] if isinstance(value, str | list | tuple) and value else None


def _length(value: object) -> int:
    refuse_missing(value)
    return len(value) if isinstance(value, str | list | tuple | Mapping) else len(text_of(value))


def _urlencode(value: object) -> str:
    return _bounded(quote(text_of(value).encode("utf-8", "replace"), safe="/"))


def safe_url(value: object) -> str:
    """The URL when it leads to the web, a mailbox or a telephone; `#` otherwise.

    Browsers drop controls and blanks inside a scheme (WHATWG URL 4.4), so they go before the check.
    """
    text = _CONTROLS.sub("", _bounded(text_of(value)))
    return text if _SAFE_SCHEME.match(text) else "#"


def safe_image(value: object) -> str:
    """The URL of an image on the web; nothing otherwise."""
    text = _CONTROLS.sub("", _bounded(text_of(value)))
    return text if re.match(r"https?://", text, re.I) else ""


def safe_css(value: object) -> str:
    """A value for a style: colours, lengths, names of fonts; nothing when it is more than that."""
    text = text_of(value)
    return text if _STYLE.fullmatch(text) and not _STYLE_SCRIPT.search(text) else ""


def loop_items(value: object) -> list[object]:
    """At most MAX_LOOP_ITEMS of a list, so that one contact's attribute cannot fill a message without end."""
    return list(value[:MAX_LOOP_ITEMS]) if isinstance(value, list | tuple) else []


def _on_text(change: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: _bounded(change(text_of(value)))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "upper": _on_text(str.upper),
    "lower": _on_text(str.lower),
    "capitalize": _on_text(str.capitalize),
    "trim": _on_text(str.strip),
    "title": _title,
    "truncate": _truncate,
    "replace": _replace,
    "date": _date,
    "number": _number,
    "join": _join,
    "first": _first,
    "last": _last,
    "length": _length,
    "count": _length,
    "urlencode": _urlencode,
    "escape": _on_text(str),  # every output is escaped already; kept for templates that say so
    "e": _on_text(str),
    "safe_url": safe_url,
    "safe_image": safe_image,
    "safe_css": safe_css,
}

TESTS: frozenset[str] = frozenset(
    {
        *("defined", "undefined", "none", "equalto", "eq", "==", "ne", "!=", "in", "string", "number"),
        *("lt", "<", "le", "<=", "gt", ">", "ge", ">="),
    }
)
