"""From rules to SQL, by expressions only: no text of a rule ever becomes part of a statement.

Invariant: every condition is true or false, never NULL, so that `not` means what it says; the plain Python
evaluation of the tests gives the same contacts on both databases. Text is compared exactly by `=` and `in`;
`contains`, `starts with` and `ends with` take no notice of the case of A to Z, which is what both databases
can do alike.

Whom a condition is about is found set by set (`id IN (…)`), what contacts did from their sums, which are joined.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.domain.contacts import queries
from mailengine.domain.contacts.segments.behaviour import NOBODY, Behaviour, IdRange
from mailengine.domain.contacts.segments.check import day_of_moments, domain_key, kind_of, number, values_of
from mailengine.domain.contacts.segments.json_values import JsonValue
from mailengine.domain.contacts.segments.names import Names
from mailengine.domain.contacts.segments.rules import (
    BUILT_IN,
    PREFIX,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Rule,
    conditions,
)
from mailengine.domain.contacts.tags import tag_key
from mailengine.mail.address import parse_address
from mailengine.models import Contact, ContactList, ContactTag, ListMember, MemberState, Tag

Condition = sa.ColumnElement[bool]

_FEW_DOMAINS = 8


class Compiler:
    """Compiles rules that were checked. `above` and `upto` limit the sets to a range of contact ids."""

    def __init__(
        self,
        scope: Scope,
        names: Names,
        *,
        now: datetime,
        postgres: bool,
        above: int | None = None,
        upto: int | None = None,
    ) -> None:
        self._scope, self._names, self._now, self._postgres = scope, names, now, postgres
        self._within = IdRange(above, upto, in_order=upto is not None and not postgres)
        self._behaviour = Behaviour(scope, names, now=now, within=self._within)
        self._contacts = table_of(Contact)

    def condition(self, rule: Rule, *, decides: bool = False) -> Condition:
        """`decides`: for whom it is false is out. Only who makes it part of an AND can say so."""
        decides = decides and self._postgres
        match rule:
            case Everyone():
                return sa.true()
            case All(rules=rules):
                ordered = sorted(rules, key=self._dear)
                return sa.and_(*(self.condition(each, decides=decides) for each in ordered))
            case AnyOf(rules=rules):
                return sa.or_(sa.false(), *map(self.condition, sorted(rules, key=self._dear)))
            case Not(negated=Compare(op="empty", field="tag" | "list") as none):
                # PostgreSQL joins EXISTS and NOT EXISTS, not NOT (NOT EXISTS).
                return self._in_set(none, (), decides)
            case Not(negated=negated):
                single = isinstance(negated, Compare | Activity)
                return sa.not_(self.condition(negated, decides=decides and single))
            case Compare():
                return self._compare(rule, decides)
            case Activity():
                return self._behaviour.condition(rule, decides=decides)

    def _dear(self, rule: Rule) -> bool:
        """Whether an attribute has to be read, which is asked last: both databases stop at what decides."""
        return any(
            isinstance(each, Compare) and (each.field not in BUILT_IN) for _path, each in conditions(rule)
        )

    def source(self) -> Any:
        """The contacts with what the conditions made so far refer to."""
        found: Any = self._contacts
        for table, on in self._behaviour.joined.values():
            found = sa.outerjoin(found, table, on)
        return found

    # Fields and attributes

    def _compare(self, rule: Compare, decides: bool) -> Condition:
        contacts, values = self._contacts.c, values_of(rule)
        match rule.field, kind_of(rule.field, self._names):
            case "state", _:
                return contacts.state.in_([value.lower() for value in values])
            case "tag" | "list", _:
                found = self._in_set(rule, values, decides)
                return sa.not_(found) if rule.op == "empty" else found
            case "email" | "domain", _:
                return self._address(rule, values)
            case field, "time":
                return self._moment(contacts[field], rule, values)
            case ("first_name" | "last_name" | "consent_source") as field, _:
                return self._text(contacts[field], rule, values, lambda: contacts[field].in_(values))
            case field, kind:
                return self._attribute(field.removeprefix(PREFIX), str(kind), rule, values)

    def _in_set(self, rule: Compare, values: tuple[str, ...], decides: bool) -> Condition:
        """Who has one of the tags, or is on one of the lists; where the rule is about having none, who has any."""
        tags, members = table_of(ContactTag).c, table_of(ListMember).c
        if rule.field == "tag":
            ids = [self._names.tags.get(tag_key(value), NOBODY) for value in values]
            found = sa.select(tags.contact_id).where(tags.tenant_id == self._scope.tenant_id)
            every, among = table_of(Tag).c, tags.tag_id
            contact = tags.contact_id
        else:
            ids = [self._names.lists.get(value, NOBODY) for value in values]
            found = sa.select(members.contact_id).where(
                members.tenant_id == self._scope.tenant_id, members.state == MemberState.SUBSCRIBED
            )
            every, among = table_of(ContactList).c, members.list_id
            contact = members.contact_id
        if rule.op != "empty":
            found = found.where(among.in_(ids))
        elif not self._postgres:
            # Nobody is in another tenant's. SQLite reads list by list, each a range of its tree, and not the index of
            # contacts with a look into the tree for each.
            found = found.where(
                among.in_(sa.select(every.id).where(every.tenant_id == self._scope.tenant_id))
            )
        if decides or not self._postgres:
            return self._within.among(self._contacts.c.id, found, contact, decides=decides)
        if rule.op == "empty" or len(ids) > 1:
            found = found.distinct()
        return self._behaviour.in_joined(self._within.of(found, contact))

    def _address(self, rule: Compare, values: tuple[str, ...]) -> Condition:
        key = self._contacts.c.email_key
        if rule.op == "empty":
            return sa.false()
        if rule.field == "email":
            folded = [value.casefold() for value in values]
            return self._text(key, rule, folded, lambda: key.in_([address_key(value) for value in values]))
        domain = queries.domain_of(key)
        if rule.op not in ("=", "in"):
            return self._text(domain, rule, [value.casefold() for value in values], sa.false)
        domains = [domain_key(value) for value in values]
        if len(domains) > _FEW_DOMAINS:
            return domain.in_(domains)
        return sa.or_(*(self._ends(key, "@" + each) for each in domains))

    def _moment(self, column: sa.ColumnElement[Any], rule: Compare, values: tuple[str, ...]) -> Condition:
        """A moment against a day of UTC: `after` a day is after its end."""
        if rule.op == "empty":
            return column.is_(None)
        if rule.op == "within":
            since = self._now - timedelta(days=int(values[0]))
            return sa.and_(column.is_not(None), column >= since, column <= self._now)
        begins, ends = _bounds(day_of_moments(values[0]))
        compared = {
            "<": column < begins,
            "<=": column < ends,
            ">": column >= ends,
            ">=": column >= begins,
            "=": sa.and_(column >= begins, column < ends),
        }
        return sa.and_(column.is_not(None), compared[rule.op])

    def _text(
        self, column: sa.ColumnElement[str], rule: Compare, values: Any, equal: Callable[[], Condition]
    ) -> Condition:
        """`column` is never NULL."""
        if rule.op in ("=", "in"):
            return equal()
        if rule.op == "empty":
            return column == ""
        folded = fold(values[0])
        lowered = sa.func.lower(sa.collate(column, "C") if self._postgres else column)
        match rule.op:
            case "contains":
                find = sa.func.strpos if self._postgres else sa.func.instr
                return find(lowered, folded) > 0
            case "starts":
                return sa.func.substr(lowered, 1, len(folded)) == folded
            case _:
                return self._ends(lowered, folded)

    def _ends(self, column: Any, text: str) -> Condition:
        if self._postgres:
            return sa.func.right(column, len(text)) == text
        return sa.func.substr(column, -len(text)) == text

    def _attribute(self, name: str, kind: str, rule: Compare, values: tuple[str, ...]) -> Condition:
        value = JsonValue(self._contacts.c.attributes, name, postgres=self._postgres)
        if rule.op == "empty":
            return value.empty()
        match kind:
            case "number":
                return value.number(rule.op, [number(each) for each in values])
            case "boolean":
                return value.boolean(values[0].lower() == "true")
            case "list":
                return value.holds(values)
            case "date":
                return value.day(rule.op, values, self._now.date())
            case _:
                found = self._text(value.text(), rule, values, lambda: value.equals(values))
                return found if rule.op in ("=", "in", "empty") else value.where_part(fold(values[0]), found)


def fold(text: str) -> str:
    """A to Z in small letters, all else as it is: what `lower()` does in both databases."""
    return "".join(chr(ord(each) + 32) if "A" <= each <= "Z" else each for each in text)


def address_key(text: str) -> str:
    """The key of an address; of what is none, itself in small letters, which is nobody's."""
    try:
        return parse_address(text).key
    except InvalidInput:
        return text.casefold()


def _bounds(of: date) -> tuple[datetime, datetime]:
    begins = datetime.combine(of, time(), UTC)
    return begins, begins + timedelta(days=1)
