"""What uses a list or a tag and keeps it from being deleted: campaigns, segments, sign-up forms, and jobs that are
at it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Refused
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.bulk import LIST_ACTS, TAG_ACTS
from mailengine.domain.contacts.lists import check_name
from mailengine.domain.contacts.segments.check import values_of
from mailengine.domain.contacts.segments.rules import Compare, Rule, conditions, from_json
from mailengine.domain.contacts.segments.saved import rule_of
from mailengine.domain.contacts.tags import tag_key
from mailengine.models import (
    Campaign,
    CampaignState,
    CampaignTotals,
    ContactList,
    Job,
    JobKind,
    JobState,
    Segment,
    SignupForm,
    Tag,
)

_SHOWN = 5


def check_unused(name: str, used: Sequence[str]) -> None:
    """Raises Refused with some of what uses it: a hundred would bury the sentence."""
    if used:
        more = f" and {len(used) - _SHOWN} more" if len(used) > _SHOWN else ""
        shown = ", ".join(used[:_SHOWN])
        raise Refused(f"{name} is used by {shown}{more}; take it out there or let that end first")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """`field` is what rules call it, `acts` the bulk acts that name one, `called` whether a name is its."""

    id: int
    field: str
    acts: Collection[str]
    called: Callable[[str], bool]


def _wanted(found: ContactList | Tag) -> _Wanted:
    if isinstance(found, Tag):
        return _Wanted(found.id or 0, "tag", TAG_ACTS, lambda name: tag_key(name) == found.key)
    return _Wanted(found.id or 0, "list", LIST_ACTS, lambda name: check_name(name) == found.name)


async def uses(tx: ReadTx, scope: Scope, found: ContactList | Tag) -> list[str]:
    """Each in words: `the form Web site`. Of campaigns those that have not ended, and the messages in doubt of
    others that went to the list: who decides to send one again sends it to somebody who is still on it."""
    wanted, is_list = _wanted(found), isinstance(found, ContactList)
    open_jobs = owned(Job, scope).where(col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)))
    return [
        *await _campaigns(tx, scope, wanted, is_list=is_list),
        *await segments_asking(tx, scope, f'"{wanted.field}"', lambda rule: _asks(wanted, rule)),
        *(await _forms(tx, scope, wanted.id) if is_list else []),
        *[
            f"job {job.id} ({job.kind})"
            for job in await tx.scalars(open_jobs.order_by(col(Job.id)))
            if _works_on(wanted, job)
        ],
    ]


async def segments_asking(tx: ReadTx, scope: Scope, word: str, asks: Callable[[Rule], bool]) -> list[str]:
    """Of those whose rule has the word, for there may be very many, the ones whose rule asks for it."""
    holding = sa.cast(col(Segment.rule), sa.Text).contains(word, autoescape=True)
    rows = await tx.scalars(owned(Segment, scope).where(holding).order_by(col(Segment.name)))
    return [f"the segment {segment.name}" for segment in rows if asks(rule_of(segment))]


async def _campaigns(tx: ReadTx, scope: Scope, wanted: _Wanted, *, is_list: bool) -> list[str]:
    campaigns, totals = table_of(Campaign).c, table_of(CampaignTotals).c
    its_own = sa.and_(totals.campaign_id == campaigns.id, totals.tenant_id == scope.tenant_id)
    fields = ("name", "finished_at", "list_ids", "excluded_list_ids", "audience_rules")
    rows = await tx.execute(
        sa.select(*[campaigns[name] for name in fields])
        .join_from(Campaign, CampaignTotals, its_own, isouter=True)
        .where(
            campaigns.tenant_id == scope.tenant_id,
            campaigns.deleted_at.is_(None),
            campaigns.state != CampaignState.CANCELLED,
            sa.or_(campaigns.finished_at.is_(None), totals.doubt > 0),
        )
        .order_by(campaigns.name)
    )
    return [
        f"the campaign {row.name}"
        if row.finished_at is None
        else f"messages in doubt of the campaign {row.name}"
        for row in rows
        if (is_list and wanted.id in row.list_ids)
        or (row.finished_at is None and _chooses_by(wanted, row, is_list=is_list))
    ]


def _chooses_by(wanted: _Wanted, campaign: Any, *, is_list: bool) -> bool:
    """Besides sending to it: who is on the list is left out, or a rule that was frozen at the launch asks for it."""
    rules: Iterable[Any] = (rule for kept in campaign.audience_rules.values() for rule in kept)
    left_out = is_list and wanted.id in campaign.excluded_list_ids
    return left_out or any(_asks(wanted, from_json(rule)) for rule in rules)


async def _forms(tx: ReadTx, scope: Scope, list_id: int) -> list[str]:
    form = table_of(SignupForm).c
    rows = await tx.execute(
        sa.select(form.name, form.list_ids).where(form.tenant_id == scope.tenant_id).order_by(form.name)
    )
    return [f"the form {row.name}" for row in rows if list_id in row.list_ids]


def _asks(wanted: _Wanted, rule: Rule) -> bool:
    return any(
        isinstance(each, Compare) and each.field == wanted.field and any(map(wanted.called, values_of(each)))
        for _path, each in conditions(rule)
    )


def _works_on(wanted: _Wanted, job: Job) -> bool:
    match job.kind, job.result:
        case ((JobKind.IMPORT | JobKind.UPLOAD), {"request": request}):
            if wanted.field == "tag":
                return any(map(wanted.called, request.get("tags", ())))
            return job.subject_id == wanted.id or wanted.called(request["list_name"])
        case JobKind.BULK, {"act": act, "name": name} if act in wanted.acts and wanted.called(name):
            return True
        case ((JobKind.BULK | JobKind.EXPORT), {"filter": chosen, "rule": rule}):
            return (chosen or {}).get(f"{wanted.field}_id") == wanted.id or _asks(wanted, from_json(rule))
        case _:
            return False
