"""Another name for a tag, and one tag in place of two. Saved segments name tags, and so do the rules that a campaign
was sent with: they are changed with them, and go on meaning the same people."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput
from mailengine.core.scope import Grant, Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.segments.rules import All, AnyOf, Compare, Not, Rule, from_json, to_json
from mailengine.domain.contacts.tags import check_tag, get_by_id, tag_key
from mailengine.models import Campaign, ContactTag, Segment, Tag


async def rename(tx: WriteTx, scope: Scope, *, tag_id: int, name: str, now: datetime) -> Tag:
    """Raises Conflict when another tag has that name: the two can be merged."""
    scope.require(Grant.EDIT)
    tag, name = await get_by_id(tx, scope, tag_id=tag_id), check_tag(name)
    key = tag_key(name)
    other = await tx.scalar(owned(Tag, scope).where(col(Tag.key) == key, col(Tag.id) != tag_id))
    if other is not None:
        raise Conflict(f"there is already a tag called {other.name}; merge the two instead")
    await _rewrite(tx, scope, old=tag.key, new=name, now=now)
    tag.name, tag.key = name, key
    await tx.flush()
    await audit.record(tx, scope, "tag.rename", "tag", tag_id, now=now)
    return tag


async def merge(tx: WriteTx, scope: Scope, *, tag_id: int, into: str, now: datetime) -> Tag:
    """Whoever carries the tag carries the other one from now on; the tag itself goes. Returns the other."""
    scope.require(Grant.EDIT)
    tag = await get_by_id(tx, scope, tag_id=tag_id)
    other = await tx.scalar(owned(Tag, scope).where(col(Tag.key) == tag_key(into)))
    if other is None:
        raise InvalidInput(f"there is no tag called {check_tag(into)} to merge it into")
    if other.id == tag.id:
        raise InvalidInput("a tag cannot be merged into itself")
    links = table_of(ContactTag)
    theirs = sa.and_(links.c.tenant_id == scope.tenant_id, links.c.tag_id == tag_id)
    carriers = sa.select(sa.literal(other.id), links.c.contact_id, links.c.tenant_id).where(theirs)
    columns = [links.c.tag_id, links.c.contact_id, links.c.tenant_id]
    done = await tx.execute(insert_new(tx, ContactTag).from_select(columns, carriers))
    added = touched(done)
    await tx.execute(sa.delete(links).where(theirs))
    await _rewrite(tx, scope, old=tag.key, new=other.name, now=now)
    await tx.delete(tag)
    await audit.record(tx, scope, "tag.merge", "tag", tag_id, now=now, into=other.id, count=added)
    return other


async def _rewrite(tx: WriteTx, scope: Scope, *, old: str, new: str, now: datetime) -> None:
    """The new name in every saved segment, and every campaign under way, that has the old one."""

    def anew(rule: Any) -> Any:
        return to_json(_changed(from_json(rule), lambda found: _renamed(found, old, new)))

    for segment in (await tx.scalars(owned(Segment, scope))).all():
        if (rule := anew(segment.rule)) != segment.rule:
            segment.rule, segment.updated_at = rule, now
    under_way = owned(Campaign, scope).where(
        col(Campaign.launched_at).is_not(None), col(Campaign.finished_at).is_(None)
    )
    for campaign in (await tx.scalars(under_way)).all():
        rules = {kind: [anew(rule) for rule in kept] for kind, kept in campaign.audience_rules.items()}
        if rules != campaign.audience_rules:
            campaign.audience_rules = rules


def _changed(rule: Rule, change: Callable[[Compare], Compare]) -> Rule:
    match rule:
        case All(rules=rules):
            return All(tuple(_changed(each, change) for each in rules))
        case AnyOf(rules=rules):
            return AnyOf(tuple(_changed(each, change) for each in rules))
        case Not(negated=negated):
            return Not(_changed(negated, change))
        case Compare():
            return change(rule)
        case _:
            return rule


def _renamed(rule: Compare, old: str, new: str) -> Compare:
    if rule.field != "tag" or rule.value is None:
        return rule
    if isinstance(rule.value, tuple):
        named = [new if tag_key(str(each)) == old else str(each) for each in rule.value]
        return Compare(rule.field, rule.op, tuple({tag_key(name): name for name in named}.values()))
    return Compare(rule.field, rule.op, new) if tag_key(str(rule.value)) == old else rule
