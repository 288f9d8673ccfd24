"""Who may be mailed now, as one Select; and who is left out of it, by reason.

A person is in the audience once, however many of the lists they are on, when: the contact is subscribed and
not deleted, it is a subscribed member of one of the lists at least, one of the segments at least describes it
(where there are any), no excluded list or segment has it, and neither its address nor its domain is suppressed.
Without a list it is everybody whom a segment describes, but for those who left every list that they were on.
Erased people (suppressions by hash) have no contact: every way in refuses them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of, tenant_beside, tenant_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.queries import domain_of
from mailengine.domain.contacts.segments.find import compiler_for
from mailengine.domain.contacts.segments.rules import Rule
from mailengine.models import Contact, ContactState, ListMember, MemberState, Suppression, SuppressionKind

LEFT_THE_LIST = "left the list"
NOT_CONFIRMED = "membership not confirmed"
SUPPRESSED_ADDRESS = "address suppressed"
SUPPRESSED_DOMAIN = "domain suppressed"
DELETED = "deleted"
EXCLUDED = "excluded"

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom a campaign is for; `frozen` rules were checked at its launch."""

    list_ids: tuple[int, ...] = ()
    segments: tuple[Rule, ...] = ()
    without_lists: tuple[int, ...] = ()
    without_segments: tuple[Rule, ...] = ()
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice in SQL: `source` is the contacts with what the conditions refer to. `above` and `upto` limit
    what is looked at to a range of contact ids."""

    list_ids: tuple[int, ...]
    source: Any
    described: Condition
    excluded: Condition
    above: int | None = None
    upto: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """How many people a choice is about, how many may be mailed, and why the others may not. `duplicates` are
    memberships beyond a person's first: whoever is on several lists gets one message."""

    people: int
    reachable: int
    left_out: dict[str, int]
    duplicates: int


async def choose(
    tx: ReadTx,
    scope: Scope,
    choice: Choice,
    *,
    now: datetime,
    above: int | None = None,
    upto: int | None = None,
) -> Chosen:
    """Raises InvalidInput when a segment cannot be evaluated any more (its tag was deleted)."""
    rules = [*choice.segments, *choice.without_segments]
    compiler = await compiler_for(tx, scope, rules, now=now, above=above, upto=upto, frozen=choice.frozen)
    described = [compiler.condition(rule) for rule in choice.segments]
    excluded = [compiler.condition(rule) for rule in choice.without_segments]
    if choice.without_lists:
        excluded.append(_on_any(scope, choice.without_lists, [MemberState.SUBSCRIBED], above, upto))
    return Chosen(
        choice.list_ids,
        compiler.source(),
        sa.or_(*described) if described else sa.true(),
        sa.or_(*excluded) if excluded else sa.false(),
        above,
        upto,
    )


def audience(scope: Scope, chosen: Chosen) -> sa.Select[int | None, str]:
    """`(id, email)` of those who may be mailed; order by and page on `Contact.id`."""
    query = (
        sa.select(col(Contact.id), col(Contact.email))
        .select_from(chosen.source)
        .where(
            tenant_of(Contact) == scope.tenant_id,
            col(Contact.state) == ContactState.SUBSCRIBED,
            col(Contact.deleted_at).is_(None),
            _member(scope, chosen),
            chosen.described,
            sa.not_(chosen.excluded),
            ~_suppressed(scope, SuppressionKind.ADDRESS),
            ~_suppressed(scope, SuppressionKind.DOMAIN),
        )
    )
    if chosen.above is not None:
        query = query.where(col(Contact.id) > chosen.above)
    return query if chosen.upto is None else query.where(col(Contact.id) <= chosen.upto)


async def reach(tx: ReadTx, scope: Scope, chosen: Chosen) -> tuple[int, dict[str, int]]:
    """How many people of the choice are in the audience, and how many are not, by the first reason that holds for
    each. In one pass: on a million people each takes seconds."""
    found = await _by_reason(tx, scope, chosen)
    reachable = found.pop("", 0)
    return reachable, found


async def explain(tx: ReadTx, scope: Scope, chosen: Chosen) -> Explanation:
    found = await _by_reason(tx, scope, chosen)
    return Explanation(
        people=sum(found.values()),
        reachable=found.get("", 0),
        left_out={reason: number for reason, number in found.items() if reason},
        duplicates=await _duplicates(tx, scope, chosen),
    )


async def _by_reason(tx: ReadTx, scope: Scope, chosen: Chosen) -> dict[str, int]:
    """People by what keeps them out; the empty reason is nothing."""
    lists = chosen.list_ids
    reason = sa.case(
        (col(Contact.deleted_at).is_not(None), DELETED),
        (col(Contact.state) != ContactState.SUBSCRIBED, col(Contact.state)),
        (_suppressed(scope, SuppressionKind.ADDRESS), SUPPRESSED_ADDRESS),
        (_suppressed(scope, SuppressionKind.DOMAIN), SUPPRESSED_DOMAIN),
        (chosen.excluded, EXCLUDED),
        (_member(scope, chosen), ""),
        (_on_any(scope, lists, [MemberState.UNCONFIRMED]) if lists else sa.false(), NOT_CONFIRMED),
        else_=LEFT_THE_LIST,
    ).label("reason")
    # Whoever was deleted is named among a list's members, not among those whom a rule would describe.
    about = _on_any(scope, lists, list(MemberState)) if lists else col(Contact.deleted_at).is_(None)
    tenant = tenant_beside(Contact) if lists else tenant_of(Contact)
    found = (
        sa.select(reason).select_from(chosen.source).where(tenant == scope.tenant_id, about, chosen.described)
    )
    # Made first: SQLite would find each one's reason twice, to sort by it and to count it.
    people = found.cte("people").prefix_with("MATERIALIZED", dialect="sqlite")
    rows = await tx.execute(sa.select(people.c.reason, sa.func.count()).group_by(people.c.reason))
    return {row[0]: row[1] for row in rows}


async def _duplicates(tx: ReadTx, scope: Scope, chosen: Chosen) -> int:
    if len(chosen.list_ids) < 2:
        return 0
    members = table_of(ListMember).c
    people = audience(scope, chosen).subquery()
    query = (
        sa.select(sa.func.count(), sa.func.count(sa.distinct(members.contact_id)))
        .select_from(sa.join(ListMember, people, people.c.id == members.contact_id))
        .where(
            members.tenant_id == scope.tenant_id,
            members.list_id.in_(chosen.list_ids),
            members.state == MemberState.SUBSCRIBED,
        )
    )
    memberships, persons = (await tx.execute(query)).one()
    return int(memberships - persons)


def _member(scope: Scope, chosen: Chosen) -> Condition:
    subscribed = [MemberState.SUBSCRIBED]
    if chosen.list_ids:
        return _on_any(scope, chosen.list_ids, subscribed, chosen.above, chosen.upto)
    left = _on_any(scope, None, [MemberState.UNSUBSCRIBED], chosen.above, chosen.upto)
    return sa.or_(sa.not_(left), _on_any(scope, None, subscribed, chosen.above, chosen.upto))


def _on_any(
    scope: Scope,
    list_ids: Sequence[int] | None,
    states: Sequence[MemberState],
    above: int | None = None,
    upto: int | None = None,
) -> Condition:
    """On one of the lists, or on any (None). IN (a set), not a join: a person on two of the lists must not
    come out twice. The range keeps the set small: it is made anew for each page of an expansion."""
    members = table_of(ListMember).c
    found = sa.select(members.contact_id).where(
        members.tenant_id == scope.tenant_id, members.state.in_(states)
    )
    if list_ids is not None:
        found = found.where(members.list_id.in_(list_ids))
    if above is not None:
        found = found.where(members.contact_id > above)
    if upto is not None:
        found = found.where(members.contact_id <= upto)
    return col(Contact.id).in_(found)


def _suppressed(scope: Scope, kind: SuppressionKind) -> Condition:
    key: Any = col(Contact.email_key)
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(Suppression)
        .where(
            tenant_of(Suppression) == scope.tenant_id,
            col(Suppression.kind) == kind,
            col(Suppression.value) == (key if kind is SuppressionKind.ADDRESS else domain_of(key)),
        )
        .correlate(Contact)
    )
