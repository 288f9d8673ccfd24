"""Launching a large campaign (snapshot, tasks, progress), beside one bare INSERT … SELECT on the same tables."""

import asyncio
import time

import sqlalchemy as sa

from benchmarks.house import House, house
from benchmarks.report import Row
from benchmarks.stage import databases
from mailengine.db.tenancy import table_of
from mailengine.models import Contact, EmailTask, ListMember, TaskStatus


def run(quick: bool) -> list[Row]:
    count = 100_000 if quick else 1_000_000
    with databases() as kinds:
        return [asyncio.run(_launched(name, url(), count)) for name, url in kinds]


async def _launched(database: str, url: str | None, count: int) -> Row:
    async with house(url, recipients=count, port=9) as made:
        bare = await _bare_insert(made, count)
        started = time.perf_counter()
        await made.launch(expanded=True)
        seconds = time.perf_counter() - started
    return {
        "name": f"launch of {count:,}, {database}",
        "value": round(seconds, 1),
        "unit": "s",
        "baseline": round(bare, 1),
        "ratio": round(seconds / bare, 2),
        "baseline_name": "INSERT … SELECT",
    }


async def _bare_insert(made: House, count: int) -> float:
    """Seconds for the rows alone; they are gone afterwards."""
    tasks, contacts, members = table_of(EmailTask), table_of(Contact).c, table_of(ListMember).c
    now = sa.literal(made.rt.clock.now(), tasks.c.scheduled_at.type)
    rows = (
        sa.select(
            contacts.tenant_id, sa.literal(made.campaign_id), contacts.id, contacts.email,
            sa.literal(TaskStatus.QUEUED.value), now, sa.literal(0), sa.literal(""),
        )
        .join(members_table := table_of(ListMember), members.contact_id == contacts.id)
        .where(contacts.tenant_id == made.scope.tenant_id, members_table.c.tenant_id == made.scope.tenant_id)
    )  # fmt: skip
    columns = [
        "tenant_id", "campaign_id", "contact_id", "email", "status", "scheduled_at", "attempts", "last_reply"
    ]  # fmt: skip
    started = time.perf_counter()
    async with made.rt.db.write(made.scope) as tx:
        await tx.execute(sa.insert(tasks).from_select(columns, rows))
    seconds = time.perf_counter() - started
    async with made.rt.db.write(made.scope) as tx:
        assert (
            await tx.scalar(sa.select(sa.func.count()).where(tasks.c.tenant_id == made.scope.tenant_id))
            == count
        )
        if tx.postgres:  # rows that a DELETE leaves behind would be in the way of what is measured
            await tx.execute(sa.text("TRUNCATE email_tasks CASCADE"))
        else:
            await tx.execute(sa.delete(tasks).where(tasks.c.tenant_id == made.scope.tenant_id))
    return seconds
