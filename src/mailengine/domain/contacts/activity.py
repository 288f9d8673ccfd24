"""What contacts received, opened and clicked, summed up per contact after the fact: sending and tracking write
nothing but their own rows.

Invariant: sums and marks move in one transaction, and whoever reads sums adds what is above the marks
(`segments.compile`), so that an answer is exact however late the summing is. It runs in one process at a time.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.insert import insert_into, insert_new
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.contacts.segments.names import EVENTS_MARK
from mailengine.models import (
    ActivityMark,
    Campaign,
    CampaignActivity,
    Contact,
    ContactActivity,
    EmailEvent,
    EmailTask,
    EventKind,
    TaskStatus,
)

PAGE = 20_000  # rows a transaction: a fraction of a second of SQLite's write lock


async def sum_events(db: Database, instance: InstanceScope, *, page: int = PAGE) -> int:
    """Add one page of events to the sums; returns how many there were."""
    newest = await _settled(db, instance)
    async with db.write(instance) as tx:
        await tx.execute(insert_new(tx, ActivityMark).values(name=EVENTS_MARK, last_id=0))
        marks, events = table_of(ActivityMark), table_of(EmailEvent).c
        mark = await tx.scalar(sa.select(marks.c.last_id).where(marks.c.name == EVENTS_MARK)) or 0
        fresh = sa.select(events.id).where(events.id > mark, events.id <= newest)
        ids = fresh.order_by(events.id).limit(page)
        rows = ids.subquery()
        upto, number = (await tx.execute(sa.select(sa.func.max(rows.c.id), sa.func.count()))).one()
        if not number:
            return 0
        await _add(tx, _events(mark, upto), ("opened", "opened_at", "clicked", "clicked_at"))
        await tx.execute(sa.update(marks).where(marks.c.name == EVENTS_MARK).values(last_id=upto))
    return int(number)


async def _settled(db: Database, instance: InstanceScope) -> int:
    """The newest event below which none can appear any more. PostgreSQL gives ids before it commits: who holds
    the table in this mode for a moment has waited for all that were being written."""
    async with db.write(instance) as tx:
        if tx.postgres:
            await tx.execute(sa.select(sa.func.set_config("lock_timeout", "5s", True)))
            await tx.execute(sa.text("LOCK TABLE email_events IN SHARE MODE"))
        return await tx.scalar(sa.select(sa.func.max(table_of(EmailEvent).c.id))) or 0


def _events(mark: int, upto: int) -> sa.Select[Any]:
    events, contacts = table_of(EmailEvent).c, table_of(Contact).c
    opened, clicked = (events.kind == kind for kind in (EventKind.OPEN, EventKind.CLICK))
    return (
        sa.select(
            events.contact_id,
            contacts.tenant_id,
            sa.func.sum(sa.case((opened, 1), else_=0)).label("opened"),
            sa.func.max(sa.case((opened, events.at))).label("opened_at"),
            sa.func.sum(sa.case((clicked, 1), else_=0)).label("clicked"),
            sa.func.max(sa.case((clicked, events.at))).label("clicked_at"),
        )
        .select_from(sa.join(EmailEvent, Contact, contacts.id == events.contact_id))
        .where(events.id > mark, events.id <= upto, sa.or_(opened, clicked))
        .group_by(events.contact_id, contacts.tenant_id)
    )


async def sum_tasks(db: Database, instance: InstanceScope, *, page: int = PAGE) -> int:
    """Add one page of the tasks of a campaign that has ended; returns how many contacts it looked at."""
    async with db.write(instance) as tx:
        done = await _begun(tx) or await _begin(tx)
        if done is None:
            return 0
        tasks, table = table_of(EmailTask).c, table_of(CampaignActivity)
        of_campaign = tasks.campaign_id == done.campaign_id
        ids = (
            sa.select(tasks.contact_id)
            .where(of_campaign, tasks.contact_id > done.cursor)
            .order_by(tasks.contact_id)
            .limit(page)
            .subquery()
        )
        last, number = (await tx.execute(sa.select(sa.func.max(ids.c.contact_id), sa.func.count()))).one()
        this = table.c.campaign_id == done.campaign_id
        if not number:
            await tx.execute(sa.update(table).where(this).values(complete=True))
            return 0
        await _add(tx, _tasks(done, last), ("received", "received_at"))
        await tx.execute(sa.update(table).where(this).values(cursor=last))
    return int(number)


def _tasks(done: Any, last: int) -> sa.Select[Any]:
    tasks = table_of(EmailTask).c
    query = sa.select(
        tasks.contact_id,
        tasks.tenant_id,
        sa.literal(1).label("received"),
        tasks.finished_at.label("received_at"),
    ).where(
        tasks.campaign_id == done.campaign_id,
        tasks.contact_id > done.cursor,
        tasks.contact_id <= last,
        tasks.status == TaskStatus.SENT,
        tasks.finished_at <= done.until,
    )
    return query if done.since is None else query.where(tasks.finished_at > done.since)


async def _begun(tx: WriteTx) -> Any:
    done = table_of(CampaignActivity)
    return (await tx.execute(sa.select(done).where(done.c.complete.is_(False)).limit(1))).first()


async def _begin(tx: WriteTx) -> Any:
    """The next campaign whose tasks are to be counted, from its last moment: it has ended, and its tasks have
    not been counted since then (dead letters may have been sent again)."""
    campaigns, done, tasks = table_of(Campaign).c, table_of(CampaignActivity), table_of(EmailTask).c
    found = (
        await tx.execute(
            sa.select(campaigns.id, campaigns.tenant_id, campaigns.finished_at, done.c.until)
            .select_from(sa.outerjoin(Campaign, CampaignActivity, done.c.campaign_id == campaigns.id))
            .where(
                campaigns.finished_at.is_not(None),
                campaigns.launched_at.is_not(None),
                sa.or_(done.c.campaign_id.is_(None), done.c.finished_at != campaigns.finished_at),
            )
            .order_by(campaigns.finished_at)
            .limit(1)
        )
    ).first()
    if found is None:
        return None
    campaign_id, tenant_id, finished_at, until = found
    latest = sa.select(sa.func.max(tasks.finished_at)).where(
        tasks.campaign_id == campaign_id, tasks.status == TaskStatus.SENT
    )
    values: dict[str, Any] = {
        "since": until,
        "until": await tx.scalar(latest) or finished_at,
        "cursor": 0,
        "complete": False,
        "finished_at": finished_at,
    }
    await tx.execute(sa.delete(done).where(done.c.campaign_id == campaign_id))
    await tx.execute(sa.insert(done).values(campaign_id=campaign_id, tenant_id=tenant_id, **values))
    return await _begun(tx)


async def _add(tx: WriteTx, rows: sa.Select[Any], columns: Sequence[str]) -> None:
    """Sums grow by the rows' numbers, moments move to theirs if later."""
    sums = table_of(ContactActivity)
    if not tx.postgres:
        rows = rows.where(sa.true())  # SQLite takes "ON CONFLICT" after a bare SELECT for a join condition
    blank = {name: 0 for name in ("received", "opened", "clicked") if name not in columns}
    rows = rows.add_columns(*(sa.literal(value) for value in blank.values()))
    statement = insert_into(tx, ContactActivity).from_select(
        ["contact_id", "tenant_id", *columns, *blank], rows
    )
    changes = {name: _grown(tx, sums.c[name], statement.excluded[name]) for name in columns}
    await tx.execute(statement.on_conflict_do_update(index_elements=[sums.c.contact_id], set_=changes))


def _grown(tx: WriteTx, old: Any, new: Any) -> Any:
    if not isinstance(old.type, sa.Integer):
        latest = sa.func.greatest if tx.postgres else sa.func.max
        return latest(sa.func.coalesce(old, new), sa.func.coalesce(new, old))
    return old + new
