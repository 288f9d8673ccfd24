"""What uses a list and keeps it from being deleted: campaigns, segments, sign-up forms, and jobs that are at it."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.bulk import LIST_ACTS
from mailengine.domain.contacts.lists import check_name
from mailengine.domain.contacts.segments.check import values_of
from mailengine.domain.contacts.segments.rules import Compare, Rule, conditions, from_json
from mailengine.domain.contacts.segments.saved import rule_of
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
)


async def uses(tx: ReadTx, scope: Scope, found: ContactList) -> list[str]:
    """Each in words: `the form Web site`. Of campaigns those that have not ended, and the messages in doubt of
    others: who decides to send one again sends it to somebody who is still on the list."""
    ask_for_lists = sa.cast(col(Segment.rule), sa.Text).contains('"list"')  # there may be very many segments
    segments = await tx.scalars(owned(Segment, scope).where(ask_for_lists).order_by(col(Segment.name)))
    form = table_of(SignupForm).c
    forms = await tx.execute(
        sa.select(form.name, form.list_ids).where(form.tenant_id == scope.tenant_id).order_by(form.name)
    )
    open_jobs = owned(Job, scope).where(col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)))
    return [
        *await _campaigns(tx, scope, found),
        *[f"the segment {segment.name}" for segment in segments if _asks(found, rule_of(segment))],
        *[f"the form {form.name}" for form in forms if found.id in form.list_ids],
        *[
            f"job {job.id} ({job.kind})"
            for job in await tx.scalars(open_jobs.order_by(col(Job.id)))
            if _works_on(found, job)
        ],
    ]


async def _campaigns(tx: ReadTx, scope: Scope, found: ContactList) -> list[str]:
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
        if found.id in row.list_ids or (row.finished_at is None and _chooses_by(found, row))
    ]


def _chooses_by(found: ContactList, campaign: Any) -> bool:
    """Besides sending to it: who is on the list is left out, or a rule that was frozen at the launch asks for it."""
    rules: Iterable[Any] = (rule for kept in campaign.audience_rules.values() for rule in kept)
    return found.id in campaign.excluded_list_ids or any(_asks(found, from_json(rule)) for rule in rules)


def _asks(found: ContactList, rule: Rule) -> bool:
    return any(
        isinstance(each, Compare) and each.field == "list" and found.name in values_of(each)
        for _path, each in conditions(rule)
    )


def _works_on(found: ContactList, job: Job) -> bool:
    match job.kind, job.result:
        case ((JobKind.IMPORT | JobKind.UPLOAD), {"request": {"list_name": name}}):
            return job.subject_id == found.id or check_name(name) == found.name
        case JobKind.BULK, {"act": act, "name": name} if act in LIST_ACTS and check_name(name) == found.name:
            return True
        case ((JobKind.BULK | JobKind.EXPORT), {"filter": chosen, "rule": rule}):
            return (chosen or {}).get("list_id") == found.id or _asks(found, from_json(rule))
        case _:
            return False
