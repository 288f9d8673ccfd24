"""Whom a campaign is for: its lists and segments, in a draft as they are now, after the launch as they were then."""

from collections.abc import Sequence
from typing import Any

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.audience import Choice
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.rules import from_json
from mailengine.models import Campaign


async def choice_of(tx: ReadTx, scope: Scope, campaign: Campaign) -> Choice:
    """Segments of a draft that are not there any more are left out; `missing_segments` counts them."""
    frozen = campaign.launched_at is not None
    rules = campaign.audience_rules if frozen else await rules_now(tx, scope, campaign)
    return Choice(
        list_ids=tuple(campaign.list_ids),
        segments=tuple(from_json(rule) for rule in rules.get("segments", [])),
        without_lists=tuple(campaign.excluded_list_ids),
        without_segments=tuple(from_json(rule) for rule in rules.get("without", [])),
        frozen=frozen,
    )


async def choice_among(
    tx: ReadTx,
    scope: Scope,
    *,
    list_ids: Sequence[int],
    segment_ids: Sequence[int],
    without_lists: Sequence[int],
    without_segments: Sequence[int],
) -> Choice:
    """What a draft with these would be for. A list of another tenant has no members here. Raises NotFound for a
    segment that is not there, and InvalidInput with neither list nor segment: that would be everybody."""
    if not (list_ids or segment_ids):
        raise InvalidInput("choose at least one list or segment")
    described = await saved.by_ids(tx, scope, segment_ids)
    without = await saved.by_ids(tx, scope, without_segments)
    if len(described) + len(without) < len({*segment_ids}) + len({*without_segments}):
        raise NotFound("a segment of these is not there any more; load the page again")
    return Choice(
        list_ids=tuple(list_ids),
        segments=tuple(from_json(segment.rule) for segment in described),
        without_lists=tuple(without_lists),
        without_segments=tuple(from_json(segment.rule) for segment in without),
    )


async def rules_now(tx: ReadTx, scope: Scope, campaign: Campaign) -> dict[str, list[Any]]:
    """The rules of its segments, as JSON: what a launch freezes."""
    kept = {
        "segments": await saved.by_ids(tx, scope, campaign.segment_ids),
        "without": await saved.by_ids(tx, scope, campaign.excluded_segment_ids),
    }
    return {name: [segment.rule for segment in segments] for name, segments in kept.items()}


async def missing_segments(tx: ReadTx, scope: Scope, campaign: Campaign) -> int:
    ids = {*campaign.segment_ids, *campaign.excluded_segment_ids}
    return len(ids) - len(await saved.by_ids(tx, scope, sorted(ids)))
