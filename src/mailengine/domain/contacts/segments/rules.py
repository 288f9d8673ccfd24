"""What a segment is made of: one tree of rules, the same for JSON and text.

Values are texts whatever the field's type, as they stand in the text form: the field decides how they are read
(`check`). Negation is a rule of its own, so that `!=` and `not … =` are the same tree.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from mailengine.core.errors import InvalidInput

MAX_DEPTH = 12  # a tree that people can read; deeper ones only try the parser's and the database's stack
MAX_RULES = 200
MAX_VALUES = 1000  # of one `in (…)`
MAX_VALUE_CHARS = 1000
MAX_DAYS = 36_500
MAX_TIMES = 10_000

PREFIX = "attribute."
JOINS = frozenset({"and", "or", "not"})  # a value that is one of them stands in quotes
KEYWORDS = JOINS | {"in", "is", "everyone", "received", "opened", "clicked", "bounced"}  # no field begins so
TEXT_FIELDS = ("email", "domain", "first_name", "last_name", "consent_source")
TIME_FIELDS = ("created_at", "consent_at")
SET_FIELDS = ("state", "tag", "list")
BUILT_IN = frozenset((*TEXT_FIELDS, *TIME_FIELDS, *SET_FIELDS))
ACTS = ("received", "opened", "clicked", "bounced")
OPERATORS = ("=", "in", "contains", "starts", "ends", "empty", "<", "<=", ">", ">=", "within")


class All(msgspec.Struct, frozen=True, tag_field="rule", tag="all", forbid_unknown_fields=True):
    """Every rule holds."""

    rules: tuple["Rule", ...]


class AnyOf(msgspec.Struct, frozen=True, tag_field="rule", tag="any", forbid_unknown_fields=True):
    """One rule at least holds."""

    rules: tuple["Rule", ...]


class Not(msgspec.Struct, frozen=True, tag_field="rule", tag="not", forbid_unknown_fields=True):
    """The rule does not hold."""

    negated: "Rule"


class Everyone(msgspec.Struct, frozen=True, tag_field="rule", tag="everyone", forbid_unknown_fields=True):
    """No condition."""


class Compare(msgspec.Struct, frozen=True, tag_field="rule", tag="compare", forbid_unknown_fields=True):
    """A field or attribute against a value; `in` has several, `empty` none, `within` a number of days."""

    field: str
    op: str
    value: str | int | float | bool | tuple[str | int | float | bool, ...] | None = None


class Activity(msgspec.Struct, frozen=True, tag_field="rule", tag="activity", forbid_unknown_fields=True):
    """What a contact did with campaigns: any of them, or the one of that name."""

    did: str
    campaign: str | None = None
    at_least: int = 1
    within_days: int | None = None


Rule: TypeAlias = All | AnyOf | Not | Everyone | Compare | Activity


def from_json(given: Any) -> Rule:
    """The tree of a decoded JSON value; raises InvalidInput with the place in it."""
    try:
        return normal(msgspec.convert(given, Rule))
    except (msgspec.ValidationError, RecursionError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(f"this is no segment: {words}") from error


def to_json(rule: Rule) -> Any:
    return msgspec.to_builtins(rule)


def normal(rule: Rule, depth: int = 1) -> Rule:
    """The one tree for what means the same: values as texts, no group of one, nothing beyond the limits."""
    if depth > MAX_DEPTH:
        raise InvalidInput(f"a segment can be nested {MAX_DEPTH} levels deep at most")
    match rule:
        case All(rules=()):
            return Everyone()
        case AnyOf(rules=()):
            raise InvalidInput("a group `any` needs a rule at least: without one it would match nobody")
        case All(rules=(only,)) | AnyOf(rules=(only,)):
            return normal(only, depth)
        case All(rules=rules):
            return All(tuple(normal(each, depth + 1) for each in rules))
        case AnyOf(rules=rules):
            return AnyOf(tuple(normal(each, depth + 1) for each in rules))
        case Not(negated=negated):
            return Not(normal(negated, depth + 1))
        case Compare():
            return Compare(field_name(rule.field), rule.op, _texts(rule))
        case _:
            return rule


def field_name(given: str) -> str:
    """A field's one spelling: an attribute has its prefix only where its name means something else, too."""
    bare = given.removeprefix(PREFIX)
    ambiguous = bare in BUILT_IN or bare in KEYWORDS
    return PREFIX + bare if given.startswith(PREFIX) and ambiguous else bare


def _texts(rule: Compare) -> str | tuple[str, ...] | None:
    value = rule.value
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(_text(each) for each in value))
    return _text(value)


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("a segment's numbers must be finite")
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def conditions(rule: Rule, path: str = "") -> Iterator[tuple[str, Compare | Activity]]:
    """Every comparison and activity with its place: `rules[0].negated`."""
    match rule:
        case All(rules=rules) | AnyOf(rules=rules):
            for index, each in enumerate(rules):
                yield from conditions(each, f"{path}.rules[{index}]".lstrip("."))
        case Not(negated=negated):
            yield from conditions(negated, f"{path}.negated".lstrip("."))
        case Compare() | Activity():
            yield path, rule
