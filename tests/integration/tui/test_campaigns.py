"""Campaigns in the dashboard: the list, one of them, what keys do to them."""

import pytest
import sqlalchemy as sa

from mailengine.core.ids import CampaignId
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.campaigns.campaigns import get
from mailengine.models import (
    AuditEntry,
    CampaignState,
    CampaignTotals,
    Contact,
    DeadLetter,
    EmailEvent,
    EmailTask,
    EventKind,
)
from support.dashboard import dashboard
from support.world import World

pytestmark = pytest.mark.anyio


async def launched(world: World, name: str = "Spring") -> CampaignId:
    campaign_id = await world.draft(name=name)
    await world.launch(campaign_id)
    return campaign_id


async def state(world: World, campaign_id: CampaignId) -> str:
    async with world.db.read(world.scope) as tx:
        return (await get(tx, world.scope, campaign_id=campaign_id)).state


async def test_pause_resume_and_cancel_from_the_list(either_world: World) -> None:
    world = either_world
    await world.people(3)
    await world.relay(2525)
    campaign_id = await launched(world)
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring", "sending", "0 %")
        await driver.press("r")
        await driver.sees("only a paused")
        await driver.press("p")
        await driver.sees("paused", "Spring is paused")
        assert await state(world, campaign_id) == "paused"
        await driver.press("r")
        await driver.sees("Spring goes on")
        assert await state(world, campaign_id) == "sending"
        await driver.press("c")
        await driver.sees("End Spring for good?")
        await driver.press("n")
        await driver.loses("End Spring for good?")
        assert await state(world, campaign_id) == "sending"
        await driver.press("c")
        await driver.sees("End Spring for good?")
        await driver.press("y")
        await driver.sees("Spring is cancelled")
        assert await state(world, campaign_id) == "cancelled"


async def test_a_draft_is_sent_after_its_checklist(world: World) -> None:
    await world.people(3)
    await world.relay(2525)
    campaign_id = await world.draft()
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring", "draft")
        await driver.press("s")
        await driver.sees(
            "Send Spring?", "Acme <news@example.org>", "Customers", "Template of Spring", "3 recipients",
            "! example.org is not verified", "Send all the same (y)",
        )  # fmt: skip
        await driver.press("enter")  # the way out has the focus
        await driver.loses("Send Spring?")
        assert await state(world, campaign_id) == "draft"
        await driver.press("s")
        await driver.sees("3 recipients")
        await driver.press("y")
        await driver.sees("Spring is on its way to 3 recipients", "no daemon runs; it is sent when")
        assert await state(world, campaign_id) == "sending"
        await driver.press("s")
        await driver.sees("campaign Spring is sending and")
    assert ("tui", "campaign.launch") in await audited(world)


async def audited(world: World) -> list[tuple[str, str]]:
    log = table_of(AuditEntry).c
    async with world.db.read(world.scope) as tx:
        rows = await tx.execute(
            sa.select(log.actor, log.action).where(log.tenant_id == world.scope.tenant_id)
        )
    return [(row.actor, row.action) for row in rows]


async def test_a_campaign_is_scheduled_moved_and_made_a_draft_again(world: World) -> None:
    await world.people(3)
    await world.relay(2525)
    campaign_id = await world.draft()
    async with dashboard(world, size=(80, 24)) as driver:
        await driver.press("2")
        await driver.sees("Spring")
        await driver.press("enter")
        await driver.sees("no open and no click yet", "Send")
        await driver.press("s")
        await driver.sees("3 recipients", "Later … (l)")
        await driver.press("l")
        await driver.sees("When is Spring sent? In UTC.")
        await driver.type("soon")
        await driver.press("enter")
        await driver.sees("'soon' is no time", "When is Spring sent?")
        await driver.press("ctrl+u")
        await driver.type("2026-12-24 09:00")
        await driver.press("enter")
        await driver.sees("it waits for 2026-12-24 09:00 (UTC)")
        assert await state(world, campaign_id) == "scheduled"
        await driver.press("s")
        await driver.sees("waits for  2026-12-24 09:00 UTC")
        await driver.press("l")
        await driver.sees("When is Spring sent? In UTC.", "2026-12-24 09:00")
        await driver.press(*["backspace"] * 2, "3", "0", "enter")
        await driver.sees("it waits for 2026-12-24 09:30 (UTC)")
        await driver.press("u")
        await driver.sees("Spring is a draft again")
        await driver.loses("it waits for")
        assert await state(world, campaign_id) == "draft"


async def test_what_the_checklist_blocks_cannot_be_sent(world: World) -> None:
    await world.people(1)
    campaign_id = await world.draft(name="[b]No[/b] way out")
    async with dashboard(world, size=(80, 24)) as driver:
        await driver.press("2")
        await driver.sees("[b]No[/b]")
        await driver.press("s")
        await driver.sees("[b]No[/b] way out cannot be sent yet", "✗ there is no SMTP server to send with")
        await driver.press("y", "l")
        await driver.pilot.click("#now")
        await driver.sees("cannot be sent yet")
        await driver.press("n")
        await driver.loses("cannot be sent yet")
        assert await state(world, campaign_id) == "draft"


async def test_what_was_changed_while_its_checklist_was_read_is_not_sent(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    campaign_id = await world.draft()
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring")
        await driver.press("s")
        await driver.sees("Send all the same (y)")
        async with world.db.write(world.scope) as tx:
            contacts = table_of(Contact)
            await tx.execute(
                sa.update(contacts).where(contacts.c.tenant_id == world.scope.tenant_id).values(first_name="")
            )
        await driver.press("y")
        await driver.sees("Spring was changed meanwhile")
        assert await state(world, campaign_id) == "draft"


async def test_one_campaign_with_its_keys(world: World) -> None:
    await world.people(4)
    await world.relay(2525)
    campaign_id = await launched(world)
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring")
        await driver.press("enter")
        await driver.sees("News for", "no daemon runs; it is sent when", "Pause", "Cancel it")
        assert "Resume" not in driver.lines()[-1]
        await driver.press("p")
        await driver.sees("it is paused", "Resume")
        await driver.press("r")
        await driver.sees("Spring goes on")
        await driver.press("c")
        await driver.sees("End Spring for good?")
        await driver.pilot.click("#yes")
        await driver.sees("Spring is cancelled")
        assert await state(world, campaign_id) == "cancelled"
        await driver.press("escape")
        await driver.sees("search by name")


async def test_search_filter_and_pages(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    await launched(world, "Spring sale")
    for number in range(60):
        await world.draft(name=f"Draft {number:02}")
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Draft 59", "61 · ] more")
        await driver.press("]")
        await driver.sees("Spring sale", "61 · [ back")
        await driver.press("[")
        await driver.sees("Draft 59")
        await driver.press(*["f"] * (1 + list(CampaignState).index(CampaignState.SENDING)))
        await driver.sees("sending · 1", "Spring sale")
        await driver.press("slash")
        await driver.type("zzz")
        await driver.sees("nothing matches")
        await driver.press(*["backspace"] * 3)
        await driver.type("spring")
        await driver.press("enter")
        await driver.sees("Spring sale")
        await driver.press("enter")
        await driver.sees("News for")


async def test_a_hostile_name_is_only_a_name(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    name = "[red]Boo[/red] \x1b[2J [@click=app.quit]x[/]"
    await launched(world, name)
    async with dashboard(world, size=(140, 30)) as driver:
        await driver.sees(r"[red]Boo[/red] \u001b[2J [@click=app.quit]x[/]")
        await driver.press("2")
        await driver.sees(r"[red]Boo[/red] \u001b[2J [@click=app.quit]x[/]")
        await driver.press("c")
        await driver.sees(r"End [red]Boo[/red] \u001b[2J")
        await driver.press("y")
        await driver.sees("is cancelled")
        await driver.press("enter")
        await driver.sees(r"[red]Boo[/red] \u001b[2J")


async def test_the_report_and_its_plot(world: World) -> None:
    await world.people(4)
    await world.relay(2525)
    campaign_id = await launched(world)
    async with world.db.write(world.scope) as tx:
        await _sent_and_opened(tx, world, campaign_id)
    async with dashboard(world, size=(100, 50)) as driver:
        await driver.press("2")
        await driver.sees("Spring")
        await driver.press("enter")
        await driver.sees("2 of 3: 66.7%", "mailbox_full", "552 [full]", "opens and clicks by the hour")
        await driver.sees("https://example.org/offer?a=1")


async def _sent_and_opened(tx: WriteTx, world: World, campaign_id: CampaignId) -> None:
    """Three were sent, two opened, one of these clicked; one failed."""
    scope, now = world.scope, world.clock.now()
    tasks, totals = table_of(EmailTask), table_of(CampaignTotals)
    rows = (
        await tx.execute(
            sa.select(tasks.c.id, tasks.c.contact_id, tasks.c.email)
            .where(tasks.c.tenant_id == scope.tenant_id)
            .order_by(tasks.c.id)
        )
    ).all()
    failed = rows[-1]
    await tx.execute(
        sa.update(tasks)
        .where(tasks.c.tenant_id == scope.tenant_id, tasks.c.id != failed.id)
        .values(status="sent", finished_at=now, external_msg_id="250 ok", attempts=1)
    )
    await tx.execute(
        sa.update(tasks)
        .where(tasks.c.tenant_id == scope.tenant_id, tasks.c.id == failed.id)
        .values(status="failed", finished_at=now, last_reply="552 [full]", attempts=1)
    )
    tx.add(
        DeadLetter(
            tenant_id=scope.tenant_id, task_id=failed.id, campaign_id=campaign_id, contact_id=failed.contact_id,
            email=failed.email, cause="mailbox_full", code=552, reply="552 [full]", at=now,
        )
    )  # fmt: skip
    await tx.execute(sa.update(totals).where(totals.c.tenant_id == scope.tenant_id).values(sent=3, failed=1))
    acts = [(rows[0], EventKind.OPEN, None), (rows[1], EventKind.OPEN, None), (rows[1], EventKind.CLICK, 0)]
    for number, (row, kind, link) in enumerate(acts):
        tx.add(
            EmailEvent(
                tenant_id=scope.tenant_id, uid=f"e{number}", task_id=row.id, campaign_id=campaign_id,
                contact_id=row.contact_id, kind=kind, link=link, at=now,
            )
        )  # fmt: skip


async def test_recipients_that_are_still_being_found_have_no_total(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    await world.launch(await world.draft(), expand=False)
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring")
        await driver.press("enter")
        await driver.sees("recipients    –")
