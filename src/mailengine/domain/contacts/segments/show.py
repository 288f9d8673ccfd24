"""From rules to text: what `parse` reads back as the same rules."""

import re

from mailengine.domain.contacts.segments.rules import (
    JOINS,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Rule,
)

_PLAIN = re.compile(r"[^\s\"=<>!(),\\]+")
_WORDS = {"starts": "starts with", "ends": "ends with"}


def show(rule: Rule) -> str:
    """One line of text."""
    match rule:
        case Everyone():
            return "everyone"
        case All(rules=rules):
            return " and ".join(_inside(each, All | AnyOf) for each in rules)
        case AnyOf(rules=rules):
            return " or ".join(_inside(each, AnyOf) for each in rules)
        case Not(negated=negated):
            return _negated(negated)
        case Compare():
            return _compare(rule, "")
        case Activity():
            return _activity(rule)


def _inside(rule: Rule, bracketed: object) -> str:
    """A group inside a group keeps its brackets, also where they could be left out: it is the same tree."""
    text = show(rule)
    return f"({text})" if isinstance(rule, All | AnyOf) else text


def _negated(rule: Rule) -> str:
    if isinstance(rule, Compare) and rule.op in ("=", "in", "empty", "contains", "starts", "ends"):
        return _compare(rule, "not ")
    text = show(rule)
    return f"not ({text})" if isinstance(rule, All | AnyOf) else f"not {text}"


def _compare(rule: Compare, negation: str) -> str:
    match rule.op:
        case "=":
            return f"{rule.field} {'!=' if negation else '='} {_quoted(rule.value)}"
        case "in":
            values = rule.value if isinstance(rule.value, tuple) else (rule.value,)
            return f"{rule.field} {negation}in ({', '.join(map(_quoted, values))})"
        case "empty":
            return f"{rule.field} is {negation}empty"
        case "within":
            return f"{rule.field} within {_days(rule.value)}"
        case op:
            return f"{rule.field} {negation}{_WORDS.get(op, op)} {_quoted(rule.value)}"


def _activity(rule: Activity) -> str:
    parts = [rule.did]
    if rule.campaign is not None:
        parts.append(f"campaign {_quoted(rule.campaign)}")
    if rule.at_least != 1:
        parts.append(f"at least {rule.at_least} times")
    if rule.within_days is not None:
        parts.append(f"within {_days(rule.within_days)}")
    return " ".join(parts)


def _days(count: object) -> str:
    return f"{count} {'day' if str(count) == '1' else 'days'}"


def _quoted(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in JOINS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
