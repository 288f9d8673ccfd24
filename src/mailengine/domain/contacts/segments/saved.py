"""Saved segments: rules under a name. Who matches is found anew each time, so they are always current."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.domain.contacts.segments.find import checked
from mailengine.domain.contacts.segments.parse import Parsed
from mailengine.domain.contacts.segments.rules import Rule, from_json, to_json
from mailengine.models import Campaign, Segment

_MAX_NAME = 200
_NAMED = 3


def check_name(name: str) -> str:
    """A segment's name with its spaces in order; raises InvalidInput."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= _MAX_NAME or "\x00" in name:
        raise InvalidInput(f"a segment's name must have 1 to {_MAX_NAME} characters")
    return name


def rule_of(segment: Segment) -> Rule:
    return from_json(segment.rule)


async def add(tx: WriteTx, scope: Scope, *, name: str, rule: Parsed | Rule, now: datetime) -> Segment:
    """Raises InvalidInput for rules that cannot be evaluated here, Conflict when the name is taken."""
    scope.require(Grant.EDIT)
    stored = to_json(await checked(tx, scope, rule))
    segment = Segment(
        tenant_id=scope.tenant_id, name=check_name(name), rule=stored, created_at=now, updated_at=now
    )
    await _store(tx, segment)
    await audit.record(tx, scope, "segment.create", "segment", segment.id, now=now)
    return segment


async def update(
    tx: WriteTx,
    scope: Scope,
    *,
    segment_id: int,
    name: str | None = None,
    rule: Parsed | Rule | None = None,
    now: datetime,
) -> Segment:
    """None leaves a part as it is. Campaigns under way keep the rules that they were launched with."""
    scope.require(Grant.EDIT)
    segment = await get_by_id(tx, scope, segment_id=segment_id)
    if rule is not None:
        segment.rule = to_json(await checked(tx, scope, rule))
    if name is not None:
        segment.name = check_name(name)
    segment.updated_at = now
    await _store(tx, segment)
    await audit.record(tx, scope, "segment.update", "segment", segment.id, now=now)
    return segment


async def delete(tx: WriteTx, scope: Scope, *, segment_id: int, now: datetime) -> Segment:
    """Raises Conflict while a draft names it; campaigns under way keep the rules that they were launched with."""
    scope.require(Grant.EDIT)
    segment = await get_by_id(tx, scope, segment_id=segment_id)
    if users := (await used_by_drafts(tx, scope)).get(segment_id):
        raise Conflict(f"the segment {segment.name} is used by {_named(users)}; take it out there first")
    await tx.delete(segment)
    await audit.record(tx, scope, "segment.delete", "segment", segment_id, now=now)
    return segment


async def get(tx: ReadTx, scope: Scope, *, name: str) -> Segment:
    """Raises NotFound, also for another tenant's."""
    name = check_name(name)
    found = await tx.scalar(owned(Segment, scope).where(col(Segment.name) == name))
    if found is None:
        raise NotFound(f"there is no segment called {name}; `mailengine segments list` shows those there are")
    return found


async def get_by_id(tx: ReadTx, scope: Scope, *, segment_id: int) -> Segment:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(owned(Segment, scope).where(col(Segment.id) == segment_id))
    if found is None:
        raise NotFound(f"there is no segment {segment_id}")
    return found


async def list_segments(
    tx: ReadTx, scope: Scope, *, page: PageRequest, text: str = "", used: bool | None = None
) -> Page[Segment]:
    """By id; `text` restricts to names that hold it, `used` to those that drafts name, or that none names."""
    query = owned(Segment, scope)
    if text:
        query = query.where(contains(col(Segment.name), text))
    if used is not None:
        named = col(Segment.id).in_(await used_by_drafts(tx, scope))
        query = query.where(named if used else sa.not_(named))
    return await keyset_page(tx, query, col(Segment.id), page)


async def used_by_drafts(tx: ReadTx, scope: Scope) -> dict[int, list[str]]:
    """The campaigns not yet launched that include or leave out a segment: its id → their names."""
    campaigns = table_of(Campaign).c
    rows = await tx.execute(
        sa.select(campaigns.name, campaigns.segment_ids, campaigns.excluded_segment_ids)
        .where(
            campaigns.tenant_id == scope.tenant_id,
            campaigns.deleted_at.is_(None),
            campaigns.launched_at.is_(None),
        )
        .order_by(campaigns.id)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        for segment_id in {*row.segment_ids, *row.excluded_segment_ids}:
            found.setdefault(segment_id, []).append(row.name)
    return found


async def by_ids(tx: ReadTx, scope: Scope, ids: Sequence[int]) -> Sequence[Segment]:
    """Those of the ids that are there."""
    if not ids:
        return []
    return (await tx.scalars(owned(Segment, scope).where(col(Segment.id).in_(ids)))).all()


def _named(campaigns: Sequence[str]) -> str:
    """Some of them: a hundred names would bury the sentence."""
    more = f" and {len(campaigns) - _NAMED} more" if len(campaigns) > _NAMED else ""
    return f"the campaign{'' if len(campaigns) == 1 else 's'} {', '.join(campaigns[:_NAMED])}{more}"


async def _store(tx: WriteTx, segment: Segment) -> None:
    name = segment.name
    try:
        async with tx.begin_nested():
            tx.add(segment)
    except IntegrityError as error:
        raise Conflict(f"there is already a segment called {name}") from error
