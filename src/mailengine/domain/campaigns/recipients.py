"""Whom a campaign is for: its lists and segments, in a draft as they are now, after the launch as they were then."""

from typing import Any

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
