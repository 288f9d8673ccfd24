"""What became of a campaign: the figures that the command line, the API and the pages show (P6-03).

Progress comes from running totals, so that it never counts a ledger; what recipients did is counted from
events. Sent means accepted by the server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.states import UNDER_WAY
from mailengine.models import (
    Campaign,
    CampaignTotals,
    ContactList,
    DeadLetter,
    EmailEvent,
    EventKind,
    Snapshot,
)

TOP_LINKS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is. `total` is None while its recipients are still being found; `rate` is messages a
    second over the whole run until now or its end; `seconds_left` only while it is being sent."""

    id: CampaignId
    name: str
    subject: str
    state: str
    lists: str
    total: int | None
    sent: int
    failed: int
    skipped: int
    doubt: int
    queued: int
    launched_at: datetime | None
    finished_at: datetime | None
    rate: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Overall:
    """All campaigns of a tenant together, in messages but for the first two."""

    campaigns: int
    under_way: int
    sent: int
    failed: int
    doubt: int
    queued: int


@dataclass(frozen=True, slots=True)
class Count:
    """All of them, and by how many different recipients."""

    total: int
    unique: int


@dataclass(frozen=True, slots=True)
class LinkFigures:
    url: str
    total: int
    unique: int


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in the hour that begins at `at`."""

    at: datetime
    opens: int
    clicks: int


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """Everything that is known of one campaign; `dead_letters` by cause."""

    progress: Progress
    opens: Count
    clicks: Count
    unsubscribes: int
    top_links: Sequence[LinkFigures]
    by_hour: Sequence[Hour]
    dead_letters: dict[str, int]


async def figures(tx: ReadTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> CampaignReport:
    """The report of one campaign; raises NotFound."""
    campaign = await get(tx, scope, campaign_id=campaign_id)
    (progress,) = await progress_of_all(tx, scope, [campaign], now=now)
    counts = await _counts(tx, scope, campaign_id)
    nothing = Count(0, 0)
    return CampaignReport(
        progress=progress,
        opens=counts.get(EventKind.OPEN, nothing),
        clicks=counts.get(EventKind.CLICK, nothing),
        unsubscribes=counts.get(EventKind.UNSUBSCRIBE, nothing).unique,
        top_links=await _top_links(tx, scope, campaign),
        by_hour=await _by_hour(tx, scope, campaign_id),
        dead_letters=await _dead_letters(tx, scope, campaign_id),
    )


async def overall(tx: ReadTx, scope: Scope) -> Overall:
    """Sums over all campaigns of the tenant."""
    campaigns, totals = table_of(Campaign).c, table_of(CampaignTotals).c
    under_way = sa.case((campaigns.state.in_(list(UNDER_WAY)), 1), else_=0)
    figures = (totals.tasks, totals.sent, totals.failed, totals.skipped, totals.doubt)
    row = (
        await tx.execute(
            sa.select(
                sa.func.count(),
                *(sa.func.coalesce(sa.func.sum(column), 0) for column in (under_way, *figures)),
            )
            .select_from(sa.outerjoin(Campaign, CampaignTotals, totals.campaign_id == campaigns.id))
            .where(campaigns.tenant_id == scope.tenant_id, campaigns.deleted_at.is_(None))
        )
    ).one()
    count, running, tasks, sent, failed, skipped, doubt = (int(value) for value in row)
    return Overall(count, running, sent, failed, doubt, tasks - sent - failed - skipped - doubt)


async def recent_progress(tx: ReadTx, scope: Scope, *, limit: int, now: datetime) -> list[Progress]:
    """The newest campaigns with their progress."""
    campaigns = table_of(Campaign)
    rows = await tx.scalars(
        sa.select(Campaign)
        .where(campaigns.c.tenant_id == scope.tenant_id, campaigns.c.deleted_at.is_(None))
        .order_by(campaigns.c.id.desc())
        .limit(limit)
    )
    return await progress_of_all(tx, scope, rows.all(), now=now)


async def progress_of_all(
    tx: ReadTx, scope: Scope, campaigns: Sequence[Campaign], *, now: datetime
) -> list[Progress]:
    """How far each of these campaigns is, in their order."""
    totals, lists = table_of(CampaignTotals).c, table_of(ContactList).c
    found = await tx.scalars(
        sa.select(CampaignTotals).where(
            totals.tenant_id == scope.tenant_id, totals.campaign_id.in_([row.id for row in campaigns])
        )
    )
    by_campaign = {row.campaign_id: row for row in found}
    wanted = {list_id for campaign in campaigns for list_id in campaign.list_ids}
    named = await tx.execute(
        sa.select(lists.id, lists.name).where(lists.tenant_id == scope.tenant_id, lists.id.in_(wanted))
    )
    names = {int(list_id): str(name) for list_id, name in named}
    return [progress_of(campaign, by_campaign.get(campaign.id or 0), names, now) for campaign in campaigns]


def progress_of(
    campaign: Campaign, totals: CampaignTotals | None, list_names: dict[int, str], now: datetime
) -> Progress:
    """Pure: the same rows and the same moment give the same figures."""
    assert campaign.id is not None
    totals = totals or CampaignTotals(campaign_id=campaign.id, tenant_id=campaign.tenant_id)
    done = totals.sent + totals.failed + totals.skipped + totals.doubt
    queued = totals.tasks - done
    rate = _rate(campaign, totals.sent + totals.failed + totals.doubt, now)
    left = queued / rate if rate and queued and campaign.expanded_at and not campaign.finished_at else None
    return Progress(
        id=CampaignId(campaign.id),
        name=campaign.name,
        subject=campaign.subject,
        state=campaign.state,
        lists=", ".join(list_names[key] for key in campaign.list_ids if key in list_names),
        total=totals.tasks if campaign.expanded_at else None,
        sent=totals.sent,
        failed=totals.failed,
        skipped=totals.skipped,
        doubt=totals.doubt,
        queued=queued,
        launched_at=campaign.launched_at,
        finished_at=campaign.finished_at,
        rate=rate,
        seconds_left=left,
    )


def _rate(campaign: Campaign, handled: int, now: datetime) -> float | None:
    if campaign.launched_at is None or handled == 0:
        return None
    seconds = ((campaign.finished_at or now) - campaign.launched_at).total_seconds()
    return handled / seconds if seconds > 0 else None


async def _counts(tx: ReadTx, scope: Scope, campaign_id: CampaignId) -> dict[str, Count]:
    events = table_of(EmailEvent).c
    rows = await tx.execute(
        sa.select(events.kind, sa.func.count(), sa.func.count(events.contact_id.distinct()))
        .where(*_of(scope, events, campaign_id))
        .group_by(events.kind)
    )
    return {kind: Count(total, unique) for kind, total, unique in rows}


async def _top_links(tx: ReadTx, scope: Scope, campaign: Campaign) -> list[LinkFigures]:
    if campaign.snapshot_id is None:
        return []
    snapshots, events = table_of(Snapshot).c, table_of(EmailEvent).c
    links: list[str] = (
        await tx.scalar(
            sa.select(snapshots.links).where(
                snapshots.tenant_id == scope.tenant_id, snapshots.id == campaign.snapshot_id
            )
        )
        or []
    )
    total = sa.func.count()
    rows = await tx.execute(
        sa.select(events.link, total, sa.func.count(events.contact_id.distinct()))
        .where(*_of(scope, events, campaign.id), events.kind == EventKind.CLICK, events.link.is_not(None))
        .group_by(events.link)
        .order_by(total.desc(), events.link)
        .limit(TOP_LINKS)
    )
    return [LinkFigures(links[link], count, unique) for link, count, unique in rows if link < len(links)]


async def _by_hour(tx: ReadTx, scope: Scope, campaign_id: CampaignId) -> list[Hour]:
    """Opens and clicks by the hour; hours in which nothing happened are left out."""
    events = table_of(EmailEvent).c
    hour: Any = (
        sa.func.to_char(sa.func.timezone("UTC", events.at), "YYYY-MM-DD HH24")
        if tx.postgres
        else sa.func.strftime("%Y-%m-%d %H", events.at)
    )
    opens, clicks = (
        sa.func.sum(sa.case((events.kind == kind, 1), else_=0)) for kind in (EventKind.OPEN, EventKind.CLICK)
    )
    rows = await tx.execute(
        sa.select(hour.label("hour"), opens, clicks)
        .where(*_of(scope, events, campaign_id), events.kind.in_([EventKind.OPEN, EventKind.CLICK]))
        .group_by("hour")
        .order_by("hour")
    )
    return [Hour(datetime.fromisoformat(f"{at}:00:00+00:00"), int(o), int(c)) for at, o, c in rows]


async def _dead_letters(tx: ReadTx, scope: Scope, campaign_id: CampaignId) -> dict[str, int]:
    letters = table_of(DeadLetter).c
    rows = await tx.execute(
        sa.select(letters.cause, sa.func.count())
        .where(*_of(scope, letters, campaign_id))
        .group_by(letters.cause)
        .order_by(sa.func.count().desc(), letters.cause)
    )
    return {str(cause): int(count) for cause, count in rows}


def _of(scope: Scope, columns: Any, campaign_id: int | None) -> tuple[sa.ColumnElement[bool], ...]:
    """The tenant's rows of one campaign."""
    return columns.tenant_id == scope.tenant_id, columns.campaign_id == campaign_id
