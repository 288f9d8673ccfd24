"""A campaign's figures, counted on both databases from known rows."""

from datetime import timedelta
from itertools import count

import pytest

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.reports.campaigns import Count, figures, overall, recent_progress
from mailengine.domain.reports.recipients import Outcome, recipients
from mailengine.models import (
    Campaign,
    CampaignState,
    CampaignTotals,
    Contact,
    ContactList,
    DeadLetter,
    EmailEvent,
    EmailTask,
    EventKind,
    Snapshot,
    TaskStatus,
    Template,
)
from support.house import NOW

pytestmark = pytest.mark.anyio
OUTCOMES = [*[TaskStatus.SENT] * 4, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.QUEUED]


async def sending(tx: WriteTx, scope: Scope) -> tuple[int, list[EmailTask]]:
    """A campaign of seven recipients in the middle of its sending."""
    tenant, at = int(scope.tenant_id), {"created_at": NOW, "updated_at": NOW}
    customers = ContactList(tenant_id=tenant, name="Customers", created_at=NOW)
    template = Template(tenant_id=tenant, name="T", **at)
    tx.add_all([customers, template])
    await tx.flush()
    campaign = Campaign(
        tenant_id=tenant,
        name="Spring",
        state=CampaignState.SENDING,
        template_id=template.id or 0,
        subject="S",
        from_email="a@b.test",
        list_ids=[customers.id or 0],
        launched_at=NOW - timedelta(seconds=10),
        expanded_at=NOW,
        **at,
    )
    tx.add(campaign)
    await tx.flush()
    campaign_id = campaign.id or 0
    snapshot = Snapshot(
        tenant_id=tenant,
        campaign_id=campaign_id,
        subject="S",
        from_name="",
        from_email="a@b.test",
        html="",
        text="",
        links=["https://a.test/0", "https://a.test/1"],
        created_at=NOW,
    )
    tx.add_all(
        [
            snapshot,
            CampaignTotals(campaign_id=campaign_id, tenant_id=tenant, tasks=7, sent=4, failed=1, skipped=1),
        ]
    )
    await tx.flush()
    campaign.snapshot_id = snapshot.id
    return campaign_id, [await task(tx, tenant, campaign_id, number) for number in range(7)]


async def task(tx: WriteTx, tenant: int, campaign_id: int, number: int) -> EmailTask:
    address, status = f"c{number}@x.test", OUTCOMES[number]
    contact = Contact(tenant_id=tenant, email=address, email_key=address, created_at=NOW, updated_at=NOW)
    tx.add(contact)
    await tx.flush()
    row = EmailTask(
        tenant_id=tenant,
        campaign_id=campaign_id,
        contact_id=contact.id or 0,
        email=address,
        status=status,
        scheduled_at=NOW,
        finished_at=None if status == TaskStatus.QUEUED else NOW,
        external_msg_id="ok" if status == TaskStatus.SENT else None,
    )
    tx.add(row)
    await tx.flush()
    if status == TaskStatus.FAILED:
        tx.add(
            DeadLetter(
                tenant_id=tenant,
                task_id=row.id or 0,
                campaign_id=campaign_id,
                contact_id=row.contact_id,
                email=address,
                cause="recipient",
                code=550,
                reply="no such user",
                at=NOW,
            )
        )
    return row


async def test_every_figure(db: Database, scope: Scope, other: Scope):
    uids = count()
    async with db.write(scope) as tx:
        campaign_id, tasks = await sending(tx, scope)
        for number, kind, hours, link in (
            (0, EventKind.OPEN, 0, None),
            (0, EventKind.OPEN, 0, None),
            (1, EventKind.OPEN, 1, None),
            (0, EventKind.CLICK, 1, 1),
            (1, EventKind.CLICK, 1, 1),
            (1, EventKind.CLICK, 25, 0),
            (1, EventKind.UNSUBSCRIBE, 25, None),
            (1, EventKind.RESUBSCRIBE, 25, None),
            (1, EventKind.UNSUBSCRIBE, 25, None),
        ):
            row = tasks[number]
            tx.add(
                EmailEvent(
                    uid=str(next(uids)),
                    tenant_id=int(scope.tenant_id),
                    task_id=row.id or 0,
                    campaign_id=campaign_id,
                    contact_id=row.contact_id,
                    kind=kind,
                    at=NOW + timedelta(hours=hours),
                    link=link,
                )
            )
    async with db.read(scope) as tx:
        report = await figures(tx, scope, campaign_id=CampaignId(campaign_id), now=NOW)
        of = {"campaign_id": campaign_id}
        listed = {each: await recipients(tx, scope, outcome=each, **of) for each in (None, *Outcome)}
        one = PageRequest(limit=1)
        counted = {
            each: (await recipients(tx, scope, outcome=each, request=one, **of)).total for each in listed
        }
    assert counted == {each: len(page.items) for each, page in listed.items()}
    assert list(counted.values()) == [7, 4, 1, 0, 1, 1, 2, 2, 1]
    progress = report.progress
    assert (progress.total, progress.sent, progress.failed, progress.skipped) == (7, 4, 1, 1)
    assert (progress.doubt, progress.queued, progress.lists) == (0, 1, "Customers")
    assert progress.rate == pytest.approx(0.5)
    assert progress.seconds_left == pytest.approx(2.0)
    assert (report.opens, report.clicks, report.unsubscribes) == (Count(3, 2), Count(3, 2), 1)
    assert [(link.url, link.total, link.unique) for link in report.top_links] == [
        ("https://a.test/1", 2, 2),
        ("https://a.test/0", 1, 1),
    ]
    assert [(hour.at - NOW, hour.opens, hour.clicks) for hour in report.by_hour] == [
        (timedelta(0), 2, 0),
        (timedelta(hours=1), 1, 2),
        (timedelta(hours=25), 0, 1),
    ]
    assert report.dead_letters == {"recipient": 1}


async def test_another_tenant_sees_nothing(db: Database, scope: Scope, other: Scope):
    async with db.write(scope) as tx:
        campaign_id, _ = await sending(tx, scope)
    async with db.read(other) as tx:
        assert await recent_progress(tx, other, limit=10, now=NOW) == []
        assert (await overall(tx, other)).campaigns == 0
        with pytest.raises(NotFound):
            await figures(tx, other, campaign_id=CampaignId(campaign_id), now=NOW)
    async with db.read(scope) as tx:
        assert [row.name for row in await recent_progress(tx, scope, limit=10, now=NOW)] == ["Spring"]
        sums = await overall(tx, scope)
    assert (sums.campaigns, sums.under_way, sums.sent, sums.failed, sums.queued) == (1, 1, 4, 1, 1)


async def test_a_campaign_that_was_never_launched_has_empty_figures(db: Database, scope: Scope):
    async with db.write(scope) as tx:
        template = Template(tenant_id=int(scope.tenant_id), name="T", created_at=NOW, updated_at=NOW)
        tx.add(template)
        await tx.flush()
        draft = Campaign(
            tenant_id=int(scope.tenant_id),
            name="D",
            template_id=template.id or 0,
            subject="S",
            from_email="a@b.test",
            created_at=NOW,
            updated_at=NOW,
        )
        tx.add(draft)
        await tx.flush()
        report = await figures(tx, scope, campaign_id=CampaignId(draft.id or 0), now=NOW)
    assert (report.progress.total, report.progress.rate, report.top_links) == (None, None, [])
