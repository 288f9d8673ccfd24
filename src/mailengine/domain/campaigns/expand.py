"""From an audience to tasks, a page at a time: rows and cursor move in one transaction, so that a crash neither
loses nor doubles anyone. A page is a range of contact ids, because that needs no sorting of the audience.

The recipients are those who may be mailed when their page is expanded, seconds after the launch: who joins before
that is in, who leaves is out, and nobody joins a campaign once it is expanded. Segments are those of the launch, and
their times count from it; whoever stops matching one after the expansion is mailed all the same.

Whose address is suppressed by its hash is found before each page, as SQL cannot make the hashes. Every way in
refuses such people, and who was there when a hash came is no longer subscribed: it is looked at all the same, for
a message cannot be taken back.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import CampaignId, JobId, TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database, ReadTx, WriteTx, touched
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.recipients import choice_of
from mailengine.domain.campaigns.states import UNDER_WAY
from mailengine.domain.contacts import suppression
from mailengine.domain.contacts.audience import audience, choose
from mailengine.domain.jobs import jobs
from mailengine.models import Campaign, CampaignTotals, Contact, EmailTask, Job, JobKind, TaskStatus

PAGE_CONTACTS = 20_000  # half a second of SQLite's write lock at most


@dataclass(frozen=True, slots=True)
class Launching:
    """A campaign some of whose recipients have no task yet."""

    tenant_id: TenantId
    campaign_id: CampaignId


async def launching(tx: ReadTx, _instance: InstanceScope) -> list[Launching]:
    """Campaigns to expand, oldest launch first."""
    campaigns = table_of(Campaign).c
    rows = await tx.execute(
        sa.select(campaigns.tenant_id, campaigns.id)
        .where(campaigns.state.in_(list(UNDER_WAY)), campaigns.expanded_at.is_(None))
        .order_by(campaigns.launched_at)
    )
    return [Launching(*row) for row in rows]


async def expand_page(
    db: Database, scope: Scope, *, campaign_id: CampaignId, hash_key: bytes, now: datetime
) -> bool:
    """Add one page of tasks; False when the campaign is complete or does not want more. `hash_key` is
    `keyring.derive_for_ever(HASH_PURPOSE)`."""
    erased = await _erased(db, scope, campaign_id, hash_key)
    async with db.write(scope) as tx:
        campaign = await get(tx, scope, campaign_id=campaign_id)
        if campaign.state not in UNDER_WAY or campaign.expanded_at is not None:
            return False
        last = await _page_end(tx, scope, campaign)
        if last is None:
            campaign.expanded_at = now
            await _report(tx, scope, campaign_id, 0, now, finished=True)
            return False
        added = await _insert_tasks(tx, scope, campaign, last, erased, now)
        campaign.expand_cursor = last
        totals = table_of(CampaignTotals)
        await tx.execute(
            sa.update(totals)
            .where(totals.c.tenant_id == scope.tenant_id, totals.c.campaign_id == campaign_id)
            .values(tasks=totals.c.tasks + added)
        )
        await _report(tx, scope, campaign_id, added, now, finished=False)
        return True


async def _page_end(tx: ReadTx, scope: Scope, campaign: Campaign) -> int | None:
    contacts = table_of(Contact).c
    # The index of the living is in the order of ids: of all contacts SQLite would sort the rest for each page.
    page = (
        sa.select(contacts.id)
        .where(
            contacts.tenant_id == scope.tenant_id,
            contacts.deleted_at.is_(None),
            contacts.id > campaign.expand_cursor,
        )
        .order_by(contacts.id)
        .limit(PAGE_CONTACTS)
        .subquery()
    )
    last: int | None = await tx.scalar(sa.select(sa.func.max(page.c.id)))
    return last


async def _erased(db: Database, scope: Scope, campaign_id: CampaignId, hash_key: bytes) -> Collection[int]:
    """The contacts of the next page whose address is suppressed by its hash."""
    async with db.read(scope) as tx:
        if not await suppression.has_hashes(tx, scope):
            return ()
        campaign = await get(tx, scope, campaign_id=campaign_id)
        last = await _page_end(tx, scope, campaign)
        contacts = table_of(Contact).c
        query = sa.select(contacts.id, contacts.email_key).where(
            contacts.tenant_id == scope.tenant_id,
            contacts.id > campaign.expand_cursor,
            contacts.id <= (last or 0),
            contacts.deleted_at.is_(None),
        )
        people = (await tx.execute(query)).all()
    hashes = await asyncio.to_thread(_hashes, hash_key, people)
    async with db.read(scope) as tx:
        return [hashes[value] for value in await suppression.known_hashes(tx, scope, list(hashes))]


def _hashes(hash_key: bytes, people: Iterable[sa.Row[int, str]]) -> dict[str, int]:
    return {suppression.erased_hash(hash_key, key): identity for identity, key in people}


async def _insert_tasks(
    tx: WriteTx, scope: Scope, campaign: Campaign, last: int, erased: Collection[int], now: datetime
) -> int:
    if tx.postgres:
        # Contacts that were imported a moment ago have no statistics yet: for a page of "one row" the planner would
        # go through the list again for each contact, which took 12 s for 5,000.
        await tx.execute(sa.select(sa.func.set_config("enable_nestloop", "off", True)))
    chosen = await choose(
        tx,
        scope,
        await choice_of(tx, scope, campaign),
        now=campaign.launched_at or now,  # so that all pages mean the same 90 days
        above=campaign.expand_cursor,
        upto=last,
    )
    people = audience(scope, chosen).subquery()
    rows = sa.select(
        sa.literal(scope.tenant_id),
        sa.literal(campaign.id),
        people.c.id,
        people.c.email,
        sa.literal(TaskStatus.QUEUED.value),
        sa.literal(now, table_of(EmailTask).c.scheduled_at.type),
        sa.literal(0),
        sa.literal(""),
    )
    if erased:
        rows = rows.where(people.c.id.not_in(erased))
    if not tx.postgres:
        rows = rows.where(sa.true())  # SQLite takes "ON CONFLICT" after a bare SELECT for a join condition
    columns = [
        "tenant_id", "campaign_id", "contact_id", "email", "status", "scheduled_at", "attempts", "last_reply"
    ]  # fmt: skip
    result = await tx.execute(insert_new(tx, EmailTask).from_select(columns, rows))
    return touched(result)


async def _report(
    tx: WriteTx, scope: Scope, campaign_id: CampaignId, added: int, now: datetime, *, finished: bool
) -> None:
    """The job of the expansion shows how far it is."""
    job = await tx.scalar(
        owned(Job, scope).where(col(Job.kind) == JobKind.EXPAND, col(Job.subject_id) == campaign_id)
    )
    if job is None or job.id is None:
        return
    if job.started_at is None:
        await jobs.start(tx, scope, job_id=JobId(job.id), now=now)
    await jobs.progress(tx, scope, job_id=JobId(job.id), done=job.done + added)
    if finished:
        await jobs.finish(tx, scope, job_id=JobId(job.id), now=now)
