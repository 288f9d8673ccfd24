"""What the names in rules stand for in one tenant, read in a few queries: attributes, tags, lists, campaigns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.attributes import attribute_kinds
from mailengine.domain.contacts.segments.rules import Activity, Compare, Rule, conditions
from mailengine.models import (
    ActivityMark,
    Campaign,
    CampaignActivity,
    ContactList,
    EmailEvent,
    Tag,
)

EVENTS_MARK = "events"


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Sent tasks of a campaign that are not in the sums: those that ended after `until`, and of those after
    `since` the ones of contacts above `cursor`. None: from the beginning."""

    campaign_id: int
    since: datetime | None = None
    until: datetime | None = None
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """`attributes` is name → kind, `tags` key → id, the others name → id."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    lists: Mapping[str, int] = field(default_factory=dict)
    campaigns: Mapping[str, int] = field(default_factory=dict)
    counted_events: int = 0  # the last event in the sums
    fresh_events: bool = False  # there are events above it
    uncounted: tuple[Uncounted, ...] = ()


async def read_names(tx: ReadTx, scope: Scope, rules: Iterable[Rule]) -> Names:
    """What these rules may refer to; kinds of names that no rule uses are not read."""
    used = [condition for rule in rules for _path, condition in conditions(rule)]
    fields = {condition.field for condition in used if isinstance(condition, Compare)}
    acts = [condition for condition in used if isinstance(condition, Activity)]
    counted = await _counted_events(tx) if acts else 0
    return Names(
        attributes=await attribute_kinds(tx, scope),
        tags=await _tags(tx, scope) if "tag" in fields else {},
        lists=await _lists(tx, scope) if "list" in fields else {},
        campaigns=await _campaigns(tx, scope) if any(act.campaign is not None for act in acts) else {},
        counted_events=counted,
        fresh_events=bool(acts) and await _fresh_events(tx, scope, counted),
        uncounted=await _uncounted(tx, scope) if any(act.did == "received" for act in acts) else (),
    )


async def _tags(tx: ReadTx, scope: Scope) -> dict[str, int]:
    tags = table_of(Tag).c
    rows = await tx.execute(sa.select(tags.key, tags.id).where(tags.tenant_id == scope.tenant_id))
    return {row.key: row.id for row in rows}


async def _lists(tx: ReadTx, scope: Scope) -> dict[str, int]:
    lists = table_of(ContactList).c
    rows = await tx.execute(
        sa.select(lists.name, lists.id).where(lists.tenant_id == scope.tenant_id, lists.deleted_at.is_(None))
    )
    return {row[0]: row[1] for row in rows}


async def _campaigns(tx: ReadTx, scope: Scope) -> dict[str, int]:
    campaigns = table_of(Campaign).c
    rows = await tx.execute(
        sa.select(campaigns.name, campaigns.id).where(
            campaigns.tenant_id == scope.tenant_id, campaigns.deleted_at.is_(None)
        )
    )
    return {row.name: row.id for row in rows}


async def _counted_events(tx: ReadTx) -> int:
    query = sa.select(col(ActivityMark.last_id)).where(col(ActivityMark.name) == EVENTS_MARK)
    return await tx.scalar(query) or 0


async def _fresh_events(tx: ReadTx, scope: Scope, counted: int) -> bool:
    events = table_of(EmailEvent).c
    newest = sa.select(events.id).where(events.id > counted, in_order_of_ids(events, scope))
    return await tx.scalar(newest.limit(1)) is not None


def in_order_of_ids(rows: Any, scope: Scope) -> sa.ColumnElement[bool]:
    """The tenant's, in a form that no index of tenants serves: SQLite would read all that a tenant has by it, where
    a few rows above an id are meant."""
    return sa.func.coalesce(rows.tenant_id == scope.tenant_id, sa.false())


async def _uncounted(tx: ReadTx, scope: Scope) -> tuple[Uncounted, ...]:
    """Campaigns that were launched, without those whose tasks are all in the sums."""
    campaigns, done = table_of(Campaign).c, table_of(CampaignActivity).c
    rows = await tx.execute(
        sa.select(campaigns.id, done.since, done.until, done.cursor, done.complete)
        .select_from(sa.outerjoin(Campaign, CampaignActivity, done.campaign_id == campaigns.id))
        .where(
            campaigns.tenant_id == scope.tenant_id,
            campaigns.launched_at.is_not(None),
            sa.or_(
                done.campaign_id.is_(None),
                done.complete.is_(False),
                campaigns.finished_at.is_(None),
                campaigns.finished_at != done.finished_at,
            ),
        )
    )
    return tuple(_rest(row) for row in rows)


def _rest(row: Any) -> Uncounted:
    campaign_id, since, until, cursor, complete = row
    if cursor is None:
        return Uncounted(campaign_id)
    if complete:  # it was reopened
        return Uncounted(campaign_id, since=until, until=until)
    return Uncounted(campaign_id, since, until, cursor)
