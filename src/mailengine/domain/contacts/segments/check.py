"""Whether rules can be evaluated in a tenant: fields that are there, operators that suit them, values that can
be read, names that are known. Pure; says of each fault where it is and what was probably meant."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.segments.names import Names
from mailengine.domain.contacts.segments.rules import (
    ACTS,
    BUILT_IN,
    MAX_DAYS,
    MAX_RULES,
    MAX_TIMES,
    MAX_VALUE_CHARS,
    MAX_VALUES,
    OPERATORS,
    PREFIX,
    TEXT_FIELDS,
    TIME_FIELDS,
    Activity,
    Compare,
    Rule,
    conditions,
)
from mailengine.domain.contacts.tags import tag_key
from mailengine.mail.address import parse_address
from mailengine.models import ContactState

_ORDER = frozenset({"<", "<=", ">", ">="})
OPERATORS_OF: dict[str, frozenset[str]] = {
    "text": frozenset({"=", "in", "contains", "starts", "ends", "empty"}),
    "number": frozenset({"=", "in", "empty"}) | _ORDER,
    "date": frozenset({"=", "in", "empty", "within"}) | _ORDER,
    "time": frozenset({"=", "empty", "within"}) | _ORDER,
    "boolean": frozenset({"=", "empty"}),
    "list": frozenset({"contains", "in", "empty"}),
    "state": frozenset({"=", "in"}),
    "set": frozenset({"=", "in", "empty"}),
}
_SHOWN = {"starts": "starts with", "ends": "ends with", "empty": "is empty"}
_SHAPES = {
    "number": "a number",
    "date": "a date like 2026-12-31",
    "time": "a date like 2026-12-31, of the years 1000 to 9998",
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAYS = re.compile(r"[0-9]{1,9}")
_FIRST_DAY, _LAST_DAY = date(1000, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is the condition's place in the tree."""

    path: str
    words: str


def check(rule: Rule, names: Names) -> list[Problem]:
    """Everything that is wrong, in the order of the conditions."""
    found = list(conditions(rule))
    if len(found) > MAX_RULES:
        return [Problem("", f"a segment can have {MAX_RULES} conditions at most, not {len(found)}")]
    return [Problem(path, words) for path, condition in found for words in _faults(condition, names)]


def kind_of(field: str, names: Names) -> str | None:
    """The type of a field, None for one that is not known."""
    if field in TEXT_FIELDS:
        return "text"
    if field in TIME_FIELDS:
        return "time"
    if field == "state":
        return "state"
    if field in BUILT_IN:
        return "set"
    return names.attributes.get(field.removeprefix(PREFIX))


def values_of(rule: Compare) -> tuple[str, ...]:
    """The values of a normal comparison."""
    if rule.value is None:
        return ()
    return tuple(str(each) for each in rule.value) if isinstance(rule.value, tuple) else (str(rule.value),)


def number(value: str) -> float:
    """Raises ValueError."""
    if not _NUMBER.fullmatch(value.strip()) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def day(value: str) -> date:
    """Raises ValueError."""
    if not _DATE.fullmatch(value):
        raise ValueError(value)
    return date.fromisoformat(value)


def day_of_moments(value: str) -> date:
    """A day that has a next one, of a year that SQLite's texts of moments sort by: raises ValueError."""
    if not _FIRST_DAY <= (found := day(value)) <= _LAST_DAY:
        raise ValueError(value)
    return found


def _faults(condition: Compare | Activity, names: Names) -> Iterator[str]:
    if isinstance(condition, Activity):
        yield from _activity_faults(condition, names)
        return
    kind = kind_of(condition.field, names)
    if kind is None:
        known = [*BUILT_IN, *names.attributes, *ACTS]
        yield f"there is no field or attribute {condition.field}{_meant(condition.field, known)}"
    elif condition.op not in OPERATORS_OF[kind]:
        allowed = ", ".join(_SHOWN.get(op, op) for op in OPERATORS if op in OPERATORS_OF[kind])
        yield f"{condition.field} cannot be compared by {_SHOWN.get(condition.op, condition.op)}; use {allowed}"
    else:
        yield from _value_faults(condition, kind, names)


def _value_faults(rule: Compare, kind: str, names: Names) -> Iterator[str]:
    values = values_of(rule)
    several = isinstance(rule.value, tuple)
    if rule.op == "empty" and rule.value is not None:
        yield f"{rule.field} is empty takes no value"
    elif rule.op == "in" and not (several and 1 <= len(values) <= MAX_VALUES):
        yield f"{rule.field} in takes 1 to {MAX_VALUES:,} values in brackets"
    elif rule.op not in ("in", "empty") and (several or rule.value is None):
        yield f"{rule.field} {rule.op} takes one value"
    elif rule.op == "within":
        if not (_DAYS.fullmatch(values[0]) and 1 <= int(values[0]) <= MAX_DAYS):
            yield f"{rule.field} within takes 1 to {MAX_DAYS:,} days"
    else:
        for value in values:
            yield from _plain_faults(rule.field, value) or _typed_faults(rule, value, kind, names)


def _plain_faults(what: str, value: str) -> list[str]:
    """What no database and no column could hold."""
    if not value:
        return [f"say `{what} is empty` for what has no value"]
    if len(value) > MAX_VALUE_CHARS:
        return [f"a value can have {MAX_VALUE_CHARS:,} characters at most"]
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["this value is no text"]
    return ["a value cannot hold a NUL character"] if "\x00" in value else []


def _typed_faults(rule: Compare, value: str, kind: str, names: Names) -> list[str]:
    try:
        match kind:
            case "number":
                number(value)
            case "date":
                day(value)
            case "time":
                day_of_moments(value)
            case "boolean" if value.lower() not in ("true", "false"):
                return [f"{rule.field} is true or false, not {value!r}"]
            case "state" if value.lower() not in set(ContactState):
                return [f"there is no state {value}{_meant(value, ContactState)}"]
            case "text" if rule.field == "domain" and rule.op in ("=", "in"):
                domain_key(value)
            case "set" if rule.field == "tag" and tag_key(value) not in names.tags:
                return [f"there is no tag {value}{_meant(value, names.tags)}"]
            case "set" if rule.field == "list" and value not in names.lists:
                return [f"there is no list {value}{_meant(value, names.lists)}"]
    except InvalidInput as error:
        return [str(error)]
    except ValueError:
        shape = _SHAPES[kind]
        return [f"{rule.field} is compared with {shape}, not {value!r}"]
    return []


def domain_key(value: str) -> str:
    """A domain as it stands in an address's key; raises InvalidInput."""
    return parse_address(f"postmaster@{value.removeprefix('@')}").domain


def _activity_faults(rule: Activity, names: Names) -> Iterator[str]:
    if rule.did not in ACTS:
        yield f"nobody can have {rule.did}{_meant(rule.did, ACTS)}; use one of {', '.join(ACTS)}"
    if not 1 <= rule.at_least <= MAX_TIMES:
        yield f"`at least` takes 1 to {MAX_TIMES:,} times"
    if rule.within_days is not None and not 1 <= rule.within_days <= MAX_DAYS:
        yield f"`within` takes 1 to {MAX_DAYS:,} days"
    if rule.campaign is not None and rule.campaign not in names.campaigns:
        yield f"there is no campaign {rule.campaign}{_meant(rule.campaign, names.campaigns)}"


def _meant(given: str, known: Iterable[str]) -> str:
    """What is nearest, in any case."""
    by_key = {str(name).casefold(): str(name) for name in known}
    key = given.casefold()
    near = difflib.get_close_matches(key, by_key, n=1) or [each for each in by_key if each.startswith(key)]
    return f"; did you mean {by_key[near[0]]}?" if near else ""
