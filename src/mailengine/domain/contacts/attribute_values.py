"""What an attribute may hold: five kinds, one spelling of each value in the database, one text of it in files.

| kind    | in contacts.attributes (JSON)                        | text          |
| ------- | ---------------------------------------------------- | ------------- |
| text    | string, not empty                                    | itself        |
| number  | number; whole ones without a fraction                | `19.9`        |
| date    | string `2025-12-24`, or `2025-12-24T10:00:00Z` (UTC) | the same      |
| boolean | true, false                                          | `true`        |
| list    | array of strings, none empty, no two equal           | `red|green`   |

Dates compare as texts in the order of time. A value that is not there is not stored: no null, no empty text.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from mailengine.models import AttributeKind

Value = str | int | float | bool | list[str]

MAX_VALUE = 4000  # characters of one value: it may stand in every message
MAX_ITEMS = 200  # of a list
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?(?P<exponent>[eE][+-]?\d{1,2})?", re.ASCII)
_TOO_LARGE = 10**15  # from here a float no longer holds every whole number and its decimals
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ISO_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # by no database; JSON can spell both
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
TRUE_WORDS = frozenset({
    "true", "yes", "y", "on", "1", "ja", "oui", "sí", "sì", "si", "sim", "tak", "da", "ano", "áno", "igen", "evet",
    "kyllä", "да", "так", "ναι", "はい", "是", "예",
})  # fmt: skip
FALSE_WORDS = frozenset({
    "false", "no", "n", "off", "0", "nein", "non", "não", "nie", "nee", "nej", "nei", "ei", "ne", "nem", "nu",
    "hayır", "нет", "ні", "не", "όχι", "いいえ", "否", "아니요",
})  # fmt: skip
# Pairs by which a column is taken for a boolean unasked. Not `si`: with `no` it is Slovenia and Norway.
_PAIRS = tuple(map(frozenset, (("true", "false"), ("yes", "no"), ("ja", "nein"), ("oui", "non"))))
_SEPARATORS = ("|", ";", ",")


def parse(kind: AttributeKind, text: str) -> Value:
    """The value that a text (not blank) spells; raises ValueError, whose words go on after an attribute's name."""
    return _limited(_READERS[kind](text.strip()))


def accept(kind: AttributeKind, given: object) -> Value:
    """A value as a program gives it (JSON), text of it included; raises ValueError like `parse`."""
    if isinstance(given, str):
        return parse(kind, given)
    if kind is AttributeKind.BOOLEAN and isinstance(given, bool):
        return given
    if kind is AttributeKind.NUMBER and isinstance(given, int | float) and not isinstance(given, bool):
        return _number(text_of(given))
    if kind is AttributeKind.LIST and isinstance(given, list | tuple):
        if not all(isinstance(item, str) for item in given):
            raise ValueError("takes a list of texts")
        return _limited(_items(given))
    raise ValueError(f"is a {kind.value}, and this is none: {str(given)[:40]!r}")


def kind_of(given: object) -> AttributeKind:
    """What a program's value makes a new attribute."""
    match given:
        case bool():
            return AttributeKind.BOOLEAN
        case int() | float():
            return AttributeKind.NUMBER
        case list() | tuple():
            return AttributeKind.LIST
        case _:
            return AttributeKind.TEXT


def text_of(value: object) -> str:
    """The text that `parse` reads back as the value."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _plain(value)
        case list() | tuple():
            return _joined([str(item) for item in value])
        case _:
            return str(value)


def infer(cells: Sequence[str]) -> AttributeKind:
    """The kind of a column by some of its cells; text where any of them says otherwise.

    Numbers and dates are inferred only where nothing is lost by it: `007`, `1.50`, `+49 30` and `3/4/2025` are
    texts. A person who knows better says so.
    """
    values = [cell.strip() for cell in cells if cell.strip()]
    if not values:
        return AttributeKind.TEXT
    if all(map(_is_number, values)):
        return AttributeKind.NUMBER
    if all(map(_is_date, values)):
        return AttributeKind.DATE
    words = {value.casefold() for value in values}
    if words in _PAIRS or words <= _PAIRS[0]:
        return AttributeKind.BOOLEAN
    return AttributeKind.LIST if _are_lists(values) else AttributeKind.TEXT


def _is_number(text: str) -> bool:
    try:
        return text_of(_number(text)) == text
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return len(text) >= 8 and bool(_date(text))
    except ValueError:
        return False


def _are_lists(values: Sequence[str]) -> bool:
    """JSON arrays, or `red|green`, `blue`, `red|blue`: parted by one sign, and the items come again and again."""
    if all(value.startswith("[") and value.endswith("]") for value in values):
        return True
    for separator in _SEPARATORS[:2]:
        parted = [value for value in values if separator in value]
        items = [item.strip() for value in values for item in value.split(separator)]
        if len(parted) * 3 >= len(values) and len(set(items)) * 2 <= len(items) and len(items) >= 8:
            return all(0 < len(item) <= 50 for item in items)
    return False


def _number(text: str) -> int | float:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:40]!r} is not a number; write it as 1234.5")
    value = float(text)
    if found["exponent"] and (abs(value) >= _TOO_LARGE or float(_plain(value)) != value):
        raise ValueError(
            f"{text[:40]!r} is larger or finer than a number can be here; it has 15 digits at most"
        )
    if not value.is_integer():
        return value
    return int(value if found["exponent"] else text.partition(".")[0])


def _plain(value: float) -> str:
    """Without an exponent, which no spreadsheet and no `_NUMBER` reads alike."""
    text = repr(value)
    return text if "e" not in text else f"{value:.15f}".rstrip("0").rstrip(".")


def _date(text: str) -> str:
    """Raises ValueError also for dates with two readings."""
    try:
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
        if found := _DOTTED.fullmatch(text):
            day, month, year = map(int, found.groups())
            return date(year, month, day).isoformat()
        if _ISO_MOMENT.fullmatch(text):
            return moment_text(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass  # the 31st of February
    raise ValueError(f"{text[:40]!r} is not a date; write it as 2025-12-24")


def moment_text(moment: datetime) -> str:
    """A moment in UTC to the second; one without a zone is taken for UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _boolean(text: str) -> bool:
    folded = text.casefold()
    if folded in TRUE_WORDS:
        return True
    if folded in FALSE_WORDS:
        return False
    raise ValueError(f"{text[:40]!r} is neither true nor false")


def _split(text: str) -> list[str]:
    if text.startswith("["):
        try:
            found = json.loads(text)
            if isinstance(found, list):
                return [item if isinstance(item, str) else json.dumps(item) for item in found]
        except (ValueError, RecursionError):
            pass  # a text with a bracket; a thousand of them are no list either
    separator = next((sign for sign in _SEPARATORS if sign in text), None)
    return text.split(separator) if separator else [text]


def _joined(items: Sequence[str]) -> str:
    """`red|green`, or JSON where an item would be cut or taken for JSON."""
    text = "|".join(items)
    return text if _items(_split(text)) == list(items) else json.dumps(list(items), ensure_ascii=False)


def _items(parts: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(item for part in parts if (item := part.strip())))
    if len(found) > MAX_ITEMS:
        raise ValueError(f"has {len(found)} items, and {MAX_ITEMS} is the most")
    return found


def _limited(value: Value) -> Value:
    texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    if sum(map(len, texts)) > MAX_VALUE:
        raise ValueError(f"is longer than {MAX_VALUE} characters")
    if any(map(_UNSTORABLE.search, texts)):
        raise ValueError("is not text: it holds a NUL character or half of one")
    return value


_READERS: dict[AttributeKind, Callable[[str], Value]] = {
    AttributeKind.TEXT: str,
    AttributeKind.NUMBER: _number,
    AttributeKind.DATE: _date,
    AttributeKind.BOOLEAN: _boolean,
    AttributeKind.LIST: lambda text: _items(_split(text)),
}
