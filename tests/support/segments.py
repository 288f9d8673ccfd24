"""The rules of segments, evaluated in plain Python: what the SQL must agree with."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mailengine.domain.contacts.segments.rules import Activity, All, AnyOf, Compare, Everyone, Not, Rule

LETTERS = str.maketrans({chr(upper): chr(upper + 32) for upper in range(ord("A"), ord("Z") + 1)})
KINDS = {
    "country": "text",
    "age": "number",
    "born": "date",
    "vegan": "boolean",
    "likes": "list",
    "tag": "text",
}


@dataclass
class Person:
    email: str
    first_name: str = ""
    last_name: str = ""
    state: str = "subscribed"
    consent_source: str = ""
    consent_at: datetime | None = None
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    attributes: dict[str, Any] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    acts: list[tuple[str, str, datetime]] = field(default_factory=list)  # what, campaign, when


def matches(rule: Rule, person: Person, now: datetime) -> bool:
    match rule:
        case Everyone():
            return True
        case All(rules=rules):
            return all(matches(each, person, now) for each in rules)
        case AnyOf(rules=rules):
            return any(matches(each, person, now) for each in rules)
        case Not(negated=negated):
            return not matches(negated, person, now)
        case Activity():
            since = now - timedelta(days=rule.within_days) if rule.within_days else None
            acts = [
                at
                for did, campaign, at in person.acts
                if did == rule.did and rule.campaign in (None, campaign) and (since is None or at >= since)
            ]
            return len(acts) >= rule.at_least
        case Compare():
            values = rule.value if isinstance(rule.value, tuple) else (str(rule.value),)
            return compare(person, rule.field, rule.op, [str(value) for value in values], now)


def compare(person: Person, name: str, op: str, values: list[str], now: datetime) -> bool:
    match name:
        case "state":
            return person.state in [value.lower() for value in values]
        case "tag":
            folded = {value.casefold() for value in values}
            return (
                not person.tags if op == "empty" else bool({tag.casefold() for tag in person.tags} & folded)
            )
        case "list":
            return not person.lists if op == "empty" else bool(person.lists & set(values))
        case "email":
            return text(person.email, op, [value.casefold() for value in values])
        case "domain":
            return text(person.email.rpartition("@")[2], op, [value.lower() for value in values])
        case "first_name" | "last_name" | "consent_source":
            return text(getattr(person, name), op, values)
        case "created_at" | "consent_at":
            return moment(getattr(person, name), op, values, now)
    bare = name.removeprefix("attribute.")
    return attribute(person.attributes.get(bare), KINDS[bare], op, values, now)


def text(value: str, op: str, values: list[str]) -> bool:
    folded = value.translate(LETTERS)
    match op:
        case "=" | "in":
            return value in values
        case "empty":
            return value == ""
        case "contains":
            return values[0].translate(LETTERS) in folded
        case "starts":
            return folded.startswith(values[0].translate(LETTERS))
        case _:
            return folded.endswith(values[0].translate(LETTERS))


def moment(value: datetime | None, op: str, values: list[str], now: datetime) -> bool:
    if op == "empty" or value is None:
        return op == "empty" and value is None
    if op == "within":
        return now - timedelta(days=int(values[0])) <= value <= now
    return ordered(value.date(), op, [date.fromisoformat(values[0])])


def attribute(value: Any, kind: str, op: str, values: list[str], now: datetime) -> bool:
    if op == "empty":
        return value in (None, "", [])
    match kind:
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            return fits and ordered(value, op, [float(each) for each in values])
        case "boolean":
            return isinstance(value, bool) and value == (values[0].lower() == "true")
        case "list":
            return isinstance(value, list) and bool(set(value) & set(values))
        case "date" if not isinstance(value, str) or not value:
            return False
        case "date" if op == "within":
            since = now.date() - timedelta(days=int(values[0]))
            return since.isoformat() <= value[:10] <= now.date().isoformat()
        case "date":
            return ordered(value[:10], op, values)
        case _:
            return text(value if isinstance(value, str) else "", op, values)


def ordered(value: Any, op: str, values: list[Any]) -> bool:
    match op:
        case "<":
            return bool(value < values[0])
        case "<=":
            return bool(value <= values[0])
        case ">":
            return bool(value > values[0])
        case ">=":
            return bool(value >= values[0])
        case _:
            return value in values
