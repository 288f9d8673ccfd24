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
from sqlalchemy.dialects.postgresql import JSONB

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.domain.contacts import queries
from mailengine.domain.contacts.segments.check import day, domain_key, kind_of, number, values_of
from mailengine.domain.contacts.segments.names import Names, Uncounted
from mailengine.domain.contacts.segments.rules import (
    PREFIX,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Rule,
)
from mailengine.domain.contacts.tags import tag_key
from mailengine.mail.address import parse_address
from mailengine.models import (
    Campaign,
    Contact,
    ContactActivity,
    ContactTag,
    DeadLetter,
    EmailEvent,
    EmailTask,
    EventKind,
    ListMember,
    MemberState,
    TaskStatus,
)

Condition = sa.ColumnElement[bool]

_FEW_DOMAINS = 8
_NOBODY = 0  # no row has this id: what a name was that is gone since the rules were checked
_EVENT = {"opened": EventKind.OPEN, "clicked": EventKind.CLICK}


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
        self._above, self._upto = above, upto
        self._contacts = table_of(Contact)
        self._joined: dict[str, tuple[Any, Condition]] = {}

    def condition(self, rule: Rule) -> Condition:
        match rule:
            case Everyone():
                return sa.true()
            case All(rules=rules):
                return sa.and_(*(self.condition(each) for each in rules))
            case AnyOf(rules=rules):
                return sa.or_(sa.false(), *(self.condition(each) for each in rules))
            case Not(negated=negated):
                return sa.not_(self.condition(negated))
            case Compare():
                return self._compare(rule)
            case Activity():
                return self._activity(rule)

    def source(self) -> Any:
        """The contacts with what the conditions made so far refer to."""
        found: Any = self._contacts
        for table, on in self._joined.values():
            found = sa.outerjoin(found, table, on)
        return found

    # Fields and attributes

    def _compare(self, rule: Compare) -> Condition:
        contacts, values = self._contacts.c, values_of(rule)
        match rule.field, kind_of(rule.field, self._names):
            case "state", _:
                return contacts.state.in_([value.lower() for value in values])
            case "tag" | "list", _:
                return self._in_set(rule, values)
            case "email" | "domain", _:
                return self._address(rule, values)
            case field, "time":
                return self._moment(contacts[field], rule, values)
            case ("first_name" | "last_name" | "consent_source") as field, _:
                return self._text(contacts[field], rule, values, lambda: contacts[field].in_(values))
            case field, kind:
                return self._attribute(field.removeprefix(PREFIX), str(kind), rule, values)

    def _in_set(self, rule: Compare, values: tuple[str, ...]) -> Condition:
        tags, members = table_of(ContactTag).c, table_of(ListMember).c
        if rule.field == "tag":
            ids = [self._names.tags.get(tag_key(value), _NOBODY) for value in values]
            found = sa.select(tags.contact_id).where(tags.tenant_id == self._scope.tenant_id)
            chosen: Condition = tags.tag_id.in_(ids)
            contact = tags.contact_id
        else:
            ids = [self._names.lists.get(value, _NOBODY) for value in values]
            found = sa.select(members.contact_id).where(
                members.tenant_id == self._scope.tenant_id, members.state == MemberState.SUBSCRIBED
            )
            chosen = members.list_id.in_(ids)
            contact = members.contact_id
        if rule.op == "empty":
            return sa.not_(self._among(found, contact))
        return self._among(found.where(chosen), contact)

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

    def _moment(self, column: Any, rule: Compare, values: tuple[str, ...]) -> Condition:
        """A moment against a day of UTC: `after` a day is after its end."""
        if rule.op == "empty":
            return column.is_(None)  # type: ignore[no-any-return]
        if rule.op == "within":
            since = self._now - timedelta(days=int(values[0]))
            return sa.and_(column.is_not(None), column >= since, column <= self._now)
        begins, ends = _bounds(day(values[0]))
        compared = {
            "<": column < begins,
            "<=": column < ends,
            ">": column >= ends,
            ">=": column >= begins,
            "=": sa.and_(column >= begins, column < ends),
        }
        return sa.and_(column.is_not(None), compared[rule.op])

    def _text(self, column: Any, rule: Compare, values: Any, equal: Callable[[], Condition]) -> Condition:
        """`column` is never NULL."""
        if rule.op in ("=", "in"):
            return equal()
        if rule.op == "empty":
            return column == ""  # type: ignore[no-any-return]
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
        value = _Json(self._contacts.c.attributes, name, postgres=self._postgres)
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
                return self._text(value.text(), rule, values, lambda: value.equals(values))

    # What they did

    def _activity(self, rule: Activity) -> Condition:
        since = None if rule.within_days is None else self._now - timedelta(days=rule.within_days)
        if rule.did == "bounced" or rule.campaign is not None or (since is not None and rule.at_least > 1):
            return self._among(*self._acts(rule, since))
        sums, fresh = self._sums(), self._fresh(rule.did)
        if since is not None:
            latest = [sums.c[f"{rule.did}_at"], *([fresh.c.latest] if fresh is not None else [])]
            return sa.or_(*(sa.and_(each.is_not(None), each >= since) for each in latest))
        times: Any = sa.func.coalesce(sums.c[rule.did], 0)
        if fresh is not None:
            times = times + sa.func.coalesce(fresh.c.times, 0)
        return times >= rule.at_least  # type: ignore[no-any-return]

    def _acts(self, rule: Activity, since: datetime | None) -> tuple[sa.Select[Any], Any]:
        """Contacts with rows of that act, and the column that names them."""
        campaign = None if rule.campaign is None else self._names.campaigns.get(rule.campaign, _NOBODY)
        if rule.did == "received":
            table = table_of(EmailTask).c
            at, chosen = table.finished_at, table.status == TaskStatus.SENT
            if campaign is None:  # the campaigns lead to their tasks; there is no index on the time
                chosen = sa.and_(chosen, table.campaign_id.in_(self._campaigns_since(since)))
        elif rule.did == "bounced":
            table = table_of(DeadLetter).c
            at, chosen = table.at, table.cause == "recipient"
        else:
            table = table_of(EmailEvent).c
            at, chosen = table.at, table.kind == _EVENT[rule.did]
        query = sa.select(table.contact_id).where(chosen)
        # A campaign is the tenant's: asking for the tenant, too, would make SQLite take the tenant's index.
        if campaign is not None:
            query = query.where(table.campaign_id == campaign)
        else:
            query = query.where(table.tenant_id == self._scope.tenant_id)
        if since is not None:
            query = query.where(at >= since)
        if rule.at_least > 1:
            query = query.group_by(table.contact_id).having(sa.func.count() >= rule.at_least)
        return query, table.contact_id

    def _campaigns_since(self, since: datetime | None) -> sa.Select[Any]:
        campaigns = table_of(Campaign).c
        query = sa.select(campaigns.id).where(
            campaigns.tenant_id == self._scope.tenant_id, campaigns.launched_at.is_not(None)
        )
        if since is not None:
            query = query.where(sa.or_(campaigns.finished_at.is_(None), campaigns.finished_at >= since))
        return query

    def _sums(self) -> Any:
        table = table_of(ContactActivity)
        on = sa.and_(table.c.contact_id == self._contacts.c.id, table.c.tenant_id == self._scope.tenant_id)
        self._joined.setdefault("sums", (table, on))
        return table

    def _fresh(self, did: str) -> Any:
        """What is not in the sums yet, per contact; None where there is nothing."""
        if did == "received":
            query = self._fresh_tasks() if self._names.uncounted else None
        else:
            query = self._fresh_events(did) if self._names.fresh_events else None
        if query is None:
            return None
        if did not in self._joined:
            table = query.subquery(f"fresh_{did}")
            self._joined[did] = (table, table.c.contact_id == self._contacts.c.id)
        return self._joined[did][0]

    def _fresh_events(self, did: str) -> sa.Select[Any]:
        events = table_of(EmailEvent).c
        query = sa.select(
            events.contact_id, sa.func.count().label("times"), sa.func.max(events.at).label("latest")
        ).where(
            events.tenant_id == self._scope.tenant_id,
            events.id > self._names.counted_events,
            events.kind == _EVENT[did],
        )
        return self._in_range(query, events.contact_id).group_by(events.contact_id)

    def _fresh_tasks(self) -> sa.Select[Any]:
        """One condition for all campaigns that are in no sum, however many an upgrade found: SQLite takes no
        more than a thousand in a row."""
        tasks, rest = table_of(EmailTask).c, self._names.uncounted
        untouched = [each.campaign_id for each in rest if each.until is None]
        begun = [_of(each, each.until, tasks) for each in rest if each.until is not None]
        query = sa.select(
            tasks.contact_id, sa.func.count().label("times"), sa.func.max(tasks.finished_at).label("latest")
        ).where(
            tasks.tenant_id == self._scope.tenant_id,
            tasks.status == TaskStatus.SENT,
            sa.or_(tasks.campaign_id.in_(untouched), *begun),
        )
        return self._in_range(query, tasks.contact_id).group_by(tasks.contact_id)

    # Sets

    def _among(self, query: sa.Select[Any], contact: Any) -> Condition:
        return self._contacts.c.id.in_(self._in_range(query, contact))

    def _in_range(self, query: sa.Select[Any], contact: Any) -> sa.Select[Any]:
        if self._above is not None:
            query = query.where(contact > self._above)
        return query if self._upto is None else query.where(contact <= self._upto)


class _Json:
    """One value of the attributes, which holds what its kind says (`attribute_values`) or is not there.

    Reading a value costs SQLite a parse of the whole object, a microsecond for each contact: each condition reads
    it once, and none asks for its type first.
    """

    def __init__(self, column: Any, name: str, *, postgres: bool) -> None:
        self._column = sa.type_coerce(column, JSONB) if postgres else column
        self._name, self._postgres = name, postgres

    def _value(self) -> Any:
        """In SQLite of its own type, in PostgreSQL a text; NULL where there is none."""
        if self._postgres:
            return self._column[self._name].astext
        return sa.func.json_extract(self._column, f"$.{self._name}")

    def text(self) -> Any:
        """The text, empty where there is none."""
        return sa.func.coalesce(self._value(), "")

    def equals(self, values: tuple[str, ...]) -> Condition:
        return self.text().in_(values)  # type: ignore[no-any-return]

    def empty(self) -> Condition:
        return self.text().in_(["", "[]"])  # type: ignore[no-any-return]

    def number(self, op: str, values: list[float]) -> Condition:
        plain: Any = self._value()
        if self._postgres:
            is_number = sa.func.jsonb_typeof(self._column[self._name]) == "number"
            plain = sa.case((is_number, sa.cast(plain, sa.Double)))  # a cast of anything else would fail
        return sa.func.coalesce(_ordered(plain, op, values), sa.false())

    def boolean(self, wanted: bool) -> Condition:
        if self._postgres:
            return self.text() == ("true" if wanted else "false")  # type: ignore[no-any-return]
        return sa.func.coalesce(self._value() == int(wanted), sa.false())

    def day(self, op: str, values: tuple[str, ...], today: date) -> Condition:
        """Dates and moments are ISO texts, whose order is that of the days that they begin with."""
        plain: Any = sa.func.substr(self._value(), 1, 10)
        if self._postgres:
            plain = sa.collate(plain, "C")
        if op == "within":
            since = today - timedelta(days=int(values[0]))
            return sa.func.coalesce(plain.between(since.isoformat(), today.isoformat()), sa.false())
        return sa.func.coalesce(_ordered(plain, op, list(values)), sa.false())

    def holds(self, values: tuple[str, ...]) -> Condition:
        """Whether the list holds one of the texts."""
        if self._postgres:
            some = sa.or_(*(self._column[self._name].contains([value]) for value in values))
            return sa.func.coalesce(some, sa.false())
        parts = sa.func.json_each(self._column, f"$.{self._name}").table_valued("value")
        return sa.exists().where(parts.c.value.in_(values)).select_from(parts)


def fold(text: str) -> str:
    """A to Z in small letters, all else as it is: what `lower()` does in both databases."""
    return "".join(chr(ord(each) + 32) if "A" <= each <= "Z" else each for each in text)


def address_key(text: str) -> str:
    """The key of an address; of what is none, itself in small letters, which is nobody's."""
    try:
        return parse_address(text).key
    except InvalidInput:
        return text.casefold()


def _ordered(column: Any, op: str, values: list[Any]) -> Condition:
    match op:
        case "<":
            return column < values[0]  # type: ignore[no-any-return]
        case "<=":
            return column <= values[0]  # type: ignore[no-any-return]
        case ">":
            return column > values[0]  # type: ignore[no-any-return]
        case ">=":
            return column >= values[0]  # type: ignore[no-any-return]
        case _:
            return column.in_(values)  # type: ignore[no-any-return]


def _of(rest: Uncounted, until: datetime, tasks: Any) -> Condition:
    """The tasks of a campaign that are not in the sums, some of whose are."""
    of_campaign: Condition = tasks.campaign_id == rest.campaign_id
    above: Condition = tasks.contact_id > rest.cursor
    if rest.since is not None:
        above = sa.and_(above, tasks.finished_at > rest.since)
    return sa.and_(of_campaign, sa.or_(tasks.finished_at > until, above))


def _bounds(of: date) -> tuple[datetime, datetime]:
    begins = datetime.combine(of, time(), UTC)
    return begins, begins + timedelta(days=1)
