"""What is deleted is listed apart, comes back within 30 days, and is erased by the scheduler after that."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.core.errors import Conflict, NotFound
from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.daemon.chores import Chores
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.campaigns import campaigns, trash
from mailengine.domain.contacts import contacts
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.content import templates
from mailengine.models import (
    Campaign,
    CampaignTotals,
    Contact,
    ContactState,
    EmailTask,
    Job,
    Snapshot,
    Suppression,
    Template,
)
from mailengine.runtime import Runtime
from support.house import KEYRING, NOW, add_campaign
from support.traces import ADDRESS, leave_traces, told

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)
PAGE = PageRequest()


async def days_pass(db: Database, url: str, folder: Path, days: int) -> None:
    """The chores of the day that comes then."""
    settings = load_settings(data_dir=folder, database={"url": url})
    rt = Runtime(settings, db, ManualClock(NOW + timedelta(days=days)), KEYRING)

    async def go() -> bool:
        return True

    await Chores(rt).turn(go)


async def test_a_contact_is_erased_after_30_days_and_figures_stay(
    db: Database, scope: Scope, other: Scope, database_url: str, tmp_path: Path
) -> None:
    contact_id = await leave_traces(db, scope, tmp_path)
    async with db.write(scope) as tx:
        await contacts.soft_delete(tx, scope, address=ADDRESS, now=NOW)
    for days, listed in ((29, 1), (31, 0)):
        await days_pass(db, database_url, tmp_path, days)
        async with db.read(scope) as tx:
            assert len((await contacts.deleted(tx, scope, page=PAGE)).items) == listed
        assert ("contacts" in await told(db, tmp_path)) is bool(listed)
    async with db.read(scope) as tx:
        (task,) = await tx.scalars(owned(EmailTask, scope))
        (totals,) = await tx.scalars(owned(CampaignTotals, scope))
    assert (task.contact_id, task.status, totals.sent) == (contact_id, "sent", 1)


async def test_rows_that_imports_rejected_go_with_the_contact_and_all_of_them_after_30_days(
    db: Database, scope: Scope, other: Scope, database_url: str, tmp_path: Path
) -> None:
    await leave_traces(db, scope, tmp_path)
    imported = NOW + timedelta(days=20)
    async with db.write(scope) as tx:
        await contacts.soft_delete(tx, scope, address=ADDRESS, now=NOW)
        for job in await tx.scalars(owned(Job, scope)):
            job.created_at = imported
    (rejected,) = tmp_path.rglob("*-errors.csv")
    await days_pass(db, database_url, tmp_path, 29)
    assert "quagga" in rejected.read_text().casefold()
    await days_pass(db, database_url, tmp_path, 31)
    assert rejected.read_text().splitlines()[1:] == ["3,bad,bob@example.org,Bob"]
    await days_pass(db, database_url, tmp_path, 49)
    assert rejected.exists()
    await days_pass(db, database_url, tmp_path, 51)
    assert not rejected.exists()


async def test_who_left_stays_known_and_who_was_only_deleted_may_come_again(
    db: Database, scope: Scope, database_url: str, tmp_path: Path
) -> None:
    for address, state in (("left@example.org", "unsubscribed"), ("free@example.org", "subscribed")):
        async with db.write(scope) as tx:
            new = contacts.check_contact(address)
            await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY, state=ContactState(state))
            await contacts.soft_delete(tx, scope, address=address, now=NOW)
    await days_pass(db, database_url, tmp_path, 31)
    async with db.read(scope) as tx:
        assert (await tx.scalars(owned(Contact, scope))).all() == [], "nobody wrote to them: nothing is kept"
        (kept,) = await tx.scalars(owned(Suppression, scope))
    assert kept.kind == "hash"
    async with db.write(scope) as tx:
        new = contacts.check_contact("free@example.org")
        await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)


async def test_campaigns_come_back_or_lose_their_content(
    db: Database, scope: Scope, other: Scope, database_url: str, tmp_path: Path
) -> None:
    sent = await add_campaign(db, scope, state="sent")
    assert sent.id is not None
    async with db.write(scope) as tx:
        await campaigns.delete(tx, scope, campaign_id=CampaignId(sent.id), now=NOW)
    later = NOW + timedelta(days=29)
    async with db.read(other) as tx:
        assert (await trash.deleted_campaigns(tx, other, now=later, page=PAGE)).items == []
    with pytest.raises(NotFound):
        async with db.write(other) as tx:
            await trash.restore_campaign(tx, other, campaign_id=sent.id, now=later)
    async with db.write(scope) as tx:
        found = await trash.newest_deleted(tx, scope, Campaign, name="Spring", now=later)
        assert (await trash.restore_campaign(tx, scope, campaign_id=found, now=later)).deleted_at is None
        await campaigns.delete(tx, scope, campaign_id=CampaignId(sent.id), now=NOW)
    await days_pass(db, database_url, tmp_path, 31)
    late = NOW + timedelta(days=31)
    with pytest.raises(NotFound):
        async with db.write(scope) as tx:
            await trash.restore_campaign(tx, scope, campaign_id=sent.id, now=late)
    async with db.read(scope) as tx:
        (snapshot,) = await tx.scalars(owned(Snapshot, scope))
        totals = (await tx.scalars(owned(CampaignTotals, scope))).all()
    assert (snapshot.html, snapshot.text, len(totals)) == ("", "", 1)


async def test_drafts_and_their_templates_are_removed(
    db: Database, scope: Scope, database_url: str, tmp_path: Path
) -> None:
    draft = await add_campaign(db, scope)
    async with db.write(scope) as tx:
        await campaigns.delete(tx, scope, campaign_id=CampaignId(draft.id or 0), now=NOW)
        await templates.delete(tx, scope, template_id=draft.template_id, now=NOW)
    await days_pass(db, database_url, tmp_path, 29)
    async with db.write(scope) as tx:
        found = await trash.newest_deleted(tx, scope, Template, name="Newsletter", now=NOW)
        prepared = await templates.prepare("<p>x</p>", known=())
        await templates.add(tx, scope, name="Newsletter", prepared=prepared, now=NOW)
        with pytest.raises(Conflict, match="of this name"):
            await trash.restore_template(tx, scope, template_id=found, now=NOW)
    await days_pass(db, database_url, tmp_path, 31)
    async with db.read(scope) as tx:
        assert [row.deleted_at for row in await tx.scalars(owned(Template, scope))] == [None]
        assert (await tx.scalars(owned(Campaign, scope))).all() == []
