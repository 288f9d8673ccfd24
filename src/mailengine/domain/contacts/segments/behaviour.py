"""Conditions on what contacts did: from their sums, which are joined, and from what is in no sum yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.domain.contacts.segments.names import Names, Uncounted, in_order_of_ids
from mailengine.domain.contacts.segments.rules import Activity
from mailengine.models import (
    Campaign,
    Contact,
    ContactActivity,
    DeadLetter,
    EmailEvent,
    EmailTask,
    EventKind,
    TaskStatus,
)

Condition = sa.ColumnElement[bool]

NOBODY = 0  # no row has this id: what a name was that is gone since the rules were checked
_EVENT = {"opened": EventKind.OPEN, "clicked": EventKind.CLICK}


@dataclass(frozen=True, slots=True)
class IdRange:
    """The contacts that are looked at: sets of ids are read for these only. `in_order`: contacts are to be read one
    after the other and looked up in the sets, where SQLite would look up each of a set among the contacts. Of a set
    with most of the range that takes twice as long."""

    above: int | None = None
    upto: int | None = None
    in_order: bool = False

    def of(self, query: sa.Select[Any], contact: Any) -> sa.Select[Any]:
        """`query`, whose column `contact` names contacts, for those of the range."""
        if self.above is not None:
            query = query.where(contact > self.above)
        return query if self.upto is None else query.where(contact <= self.upto)

    def among(
        self, whose: sa.ColumnElement[int], query: sa.Select[Any], contact: Any, *, decides: bool = False
    ) -> Condition:
        """`decides`: who is not among them (or, negated, who is) is out, whatever else holds. PostgreSQL joins such a
        set, in parallel, where it is written as EXISTS; anywhere else it would search it for every contact."""
        found = self.of(query, contact)
        if decides:
            return found.where(contact == whose).correlate(whose.table).exists()
        return (whose + 0 if self.in_order else whose).in_(found)


def reads_rows(rule: Activity) -> bool:
    """Whether the acts themselves are looked at, for what the sums do not say."""
    return (
        rule.did == "bounced"
        or rule.campaign is not None
        or (rule.within_days is not None and rule.at_least > 1)
    )


class Behaviour:
    """Compiles activities; `joined` are the tables, with their conditions, that these refer to."""

    def __init__(self, scope: Scope, names: Names, *, now: datetime, within: IdRange) -> None:
        self._scope, self._names, self._now, self._within = scope, names, now, within
        self._contacts = table_of(Contact)
        self.joined: dict[str, tuple[Any, Condition]] = {}

    def condition(self, rule: Activity, *, decides: bool) -> Condition:
        since = None if rule.within_days is None else self._now - timedelta(days=rule.within_days)
        if reads_rows(rule):
            joined = decides and rule.at_least == 1
            return self._within.among(self._contacts.c.id, *self._acts(rule, since), decides=joined)
        sums, fresh = self._sums(), self._fresh(rule.did)
        if since is not None:
            latest = [sums.c[f"{rule.did}_at"], *([fresh.c.latest] if fresh is not None else [])]
            return sa.or_(*(sa.and_(each.is_not(None), each >= since) for each in latest))
        times: sa.ColumnElement[int] = sa.func.coalesce(sums.c[rule.did], 0)
        if fresh is not None:
            times = times + sa.func.coalesce(fresh.c.times, 0)
        return times >= rule.at_least

    def in_joined(self, query: sa.Select[Any]) -> Condition:
        """`among` for PostgreSQL where the set does not decide: `query` gives each contact's id once. Joined, it is
        read in parallel; IN below an OR is not, and takes twice as long."""
        table = query.subquery(f"set_{len(self.joined)}")
        (contact,) = table.c
        self.joined[table.name] = (table, contact == self._contacts.c.id)
        return contact.is_not(None)

    def _acts(self, rule: Activity, since: datetime | None) -> tuple[sa.Select[Any], Any]:
        """Contacts with rows of that act, and the column that names them."""
        campaign = None if rule.campaign is None else self._names.campaigns.get(rule.campaign, NOBODY)
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
        self.joined.setdefault("sums", (table, on))
        return table

    def _fresh(self, did: str) -> Any:
        """What is not in the sums yet, per contact; None where there is nothing."""
        if did == "received":
            query = self._fresh_tasks() if self._names.uncounted else None
        else:
            query = self._fresh_events(did) if self._names.fresh_events else None
        if query is None:
            return None
        if did not in self.joined:
            table = query.subquery(f"fresh_{did}")
            self.joined[did] = (table, table.c.contact_id == self._contacts.c.id)
        return self.joined[did][0]

    def _fresh_events(self, did: str) -> sa.Select[Any]:
        events = table_of(EmailEvent).c
        query = sa.select(
            events.contact_id, sa.func.count().label("times"), sa.func.max(events.at).label("latest")
        ).where(
            events.id > self._names.counted_events,
            in_order_of_ids(events, self._scope),
            events.kind == _EVENT[did],
        )
        return self._within.of(query, events.contact_id).group_by(events.contact_id)

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
        return self._within.of(query, tasks.contact_id).group_by(tasks.contact_id)


def _of(rest: Uncounted, until: datetime, tasks: Any) -> Condition:
    """The tasks of a campaign that are not in the sums, some of whose are."""
    of_campaign: Condition = tasks.campaign_id == rest.campaign_id
    above: Condition = tasks.contact_id > rest.cursor
    if rest.since is not None:
        above = sa.and_(above, tasks.finished_at > rest.since)
    return sa.and_(of_campaign, sa.or_(tasks.finished_at > until, above))
