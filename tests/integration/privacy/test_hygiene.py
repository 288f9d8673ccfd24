"""List hygiene over two simulated years: the scheduler's daily chores under a clock that the test moves."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from mailengine.core.ids import ContactId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.daemon.chores import CHORES, Chores
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import contacts, hygiene, states, upkeep
from mailengine.domain.contacts.suppression import HASH_PURPOSE, parse_target, unsuppress
from mailengine.domain.delivery import reengagement
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.models import AuditEntry, CampaignTotals, Contact, DeadLetter, EmailEvent, EmailTask, Message
from mailengine.runtime import Runtime
from support.house import KEYRING, NOW, add_campaign

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)
DAILY = tuple(chore for chore in CHORES if chore.name in ("hygiene", "retention"))
PAGE = PageRequest()


class House:
    """A tenant, its people, and days that pass."""

    def __init__(self, db: Database, url: str, scope: Scope, folder: Path) -> None:
        self.db, self.scope, self.clock = db, scope, ManualClock(NOW)
        settings = load_settings(data_dir=folder, database={"url": url})
        self.chores = Chores(Runtime(settings, db, self.clock, KEYRING), DAILY)

    async def add(self, address: str) -> int:
        async with self.db.write(self.scope) as tx:
            new = contacts.check_contact(address)
            added = await contacts.add(tx, self.scope, new, now=self.clock.now(), hash_key=HASH_KEY)
        return added.id or 0

    async def pass_days(self, days: int, *, step: int = 1) -> None:
        async def go() -> bool:
            return True

        for _ in range(0, days, step):
            self.clock.advance(timedelta(days=step))
            await self.chores.turn(go)

    async def states(self) -> dict[str, str]:
        async with self.db.read(self.scope) as tx:
            rows = await tx.scalars(owned(Contact, self.scope))
            return {row.email: row.state + ("?" if row.quiet_since else "") for row in rows}

    async def sent(self, contact_id: int, *, bounced: bool = False, cause: str = "mailbox_full") -> None:
        """One more message to them, taken or given up."""
        now = self.clock.now()
        campaign = await add_campaign_once(self.db, self.scope, f"C{now:%Y%m%d}-{contact_id}")
        tenant, status = self.scope.tenant_id, "failed" if bounced else "sent"
        async with self.db.write(self.scope) as tx:
            task = EmailTask(
                tenant_id=tenant, campaign_id=campaign, contact_id=contact_id, email="x@example.org",
                status=status, scheduled_at=now, finished_at=now,
                external_msg_id=None if bounced else "ok",
            )  # fmt: skip
            tx.add(task)
            await tx.flush()
            if bounced:
                letter = DeadLetter(
                    tenant_id=tenant, task_id=task.id or 0, campaign_id=campaign, contact_id=contact_id,
                    email="x@example.org", cause=cause, reply="552 full", at=now,
                )  # fmt: skip
                tx.add(letter)
            totals = table_of(CampaignTotals)
            await tx.execute(
                sa.update(totals)
                .where(totals.c.tenant_id == tenant, totals.c.campaign_id == campaign)
                .values({"tasks": 1, status: 1})
            )

    async def opens(self, contact_id: int) -> None:
        now = self.clock.now()
        await self.sent(contact_id)
        async with self.db.write(self.scope) as tx:
            query = owned(EmailTask, self.scope).where(table_of(EmailTask).c.contact_id == contact_id)
            task = (await tx.scalars(query.order_by(table_of(EmailTask).c.id.desc()).limit(1))).one()
            event = EmailEvent(
                uid=f"{task.id}", tenant_id=self.scope.tenant_id, task_id=task.id or 0,
                campaign_id=task.campaign_id, contact_id=contact_id, kind="open", at=now,
                ip="203.0.113.7", user_agent="Mail",
            )  # fmt: skip
            tx.add(event)


async def add_campaign_once(db: Database, scope: Scope, name: str) -> int:
    from mailengine.models import Template

    async with db.write(scope) as tx:  # `add_campaign` makes a template of one name
        for row in await tx.scalars(owned(Template, scope)):
            row.name = f"T{row.id}"
    campaign = await add_campaign(db, scope, state="sent", name=name, finished_at=NOW)
    return campaign.id or 0


@pytest.fixture
async def house(db: Database, database_url: str, scope: Scope, tmp_path: Path) -> House:
    return House(db, database_url, scope, tmp_path)


async def test_two_years_in_the_life_of_a_list(house: House, other: Scope) -> None:
    silent, reader, late = await house.add("silent@x.org"), await house.add("reader@x.org"), 0
    for month in range(25):
        await house.opens(reader)
        if month == 12:
            late = await house.add("late@x.org")
        states = await house.states()
        expected = "subscribed" if month < 7 else "subscribed?" if month < 13 else "inactive?"
        assert states["silent@x.org"] == expected, f"in month {month}"
        assert states["reader@x.org"] == "subscribed"
        await house.pass_days(30, step=15)
    assert (await house.states())["late@x.org"] == "inactive?"
    async with house.db.write(house.scope) as tx:
        assert len((await hygiene.quiet(tx, house.scope, page=PAGE, inactive=True)).items) == 2
        await hygiene.keep(tx, house.scope, contact_id=silent, now=house.clock.now())
        await hygiene.give_up(tx, house.scope, contact_id=late, now=house.clock.now())
    await house.pass_days(120, step=30)
    assert await house.states() == {
        "silent@x.org": "subscribed", "reader@x.org": "subscribed", "late@x.org": "suppressed?"
    }  # fmt: skip
    async with house.db.write(other) as tx:
        with pytest.raises(NotFound):
            await hygiene.keep(tx, other, contact_id=silent, now=house.clock.now())


async def test_who_opens_again_is_awake_but_who_sleeps_is_woken_by_hand_only(house: House) -> None:
    dozing, sleeping = await house.add("dozing@x.org"), await house.add("sleeping@x.org")
    await house.pass_days(200, step=50)
    await house.opens(dozing)
    await house.pass_days(1)
    assert await house.states() == {"dozing@x.org": "subscribed", "sleeping@x.org": "subscribed?"}
    await house.pass_days(170, step=34)
    await house.opens(sleeping)
    await house.pass_days(1)
    assert (await house.states())["sleeping@x.org"] == "inactive"


async def test_three_bounces_in_a_month_suppress(house: House) -> None:
    often, rarely, ours = [await house.add(f"{name}@x.org") for name in ("often", "rarely", "ours")]
    for _ in range(3):
        await house.sent(often, bounced=True)
        await house.sent(ours, bounced=True, cause="network")
        await house.sent(rarely, bounced=True)
        await house.pass_days(10)
    assert await house.states() == {
        "often@x.org": "suppressed", "rarely@x.org": "suppressed", "ours@x.org": "subscribed"
    }  # fmt: skip
    slow = await house.add("slow@x.org")
    for _ in range(4):
        await house.sent(slow, bounced=True)
        await house.pass_days(16, step=8)
    assert (await house.states())["slow@x.org"] == "subscribed", "never three within thirty days"


async def test_bounces_from_before_somebody_decided_do_not_count(house: House) -> None:
    ann = await house.add("ann@x.org")
    for _ in range(3):
        await house.sent(ann, bounced=True)
        await house.pass_days(1)
    assert await house.states() == {"ann@x.org": "suppressed"}
    async with house.db.write(house.scope) as tx:
        await unsuppress(tx, house.scope, parse_target("ann@x.org"), now=house.clock.now())
    for _ in range(3):
        await house.pass_days(1)
        assert await house.states() == {"ann@x.org": "subscribed"}
        await house.sent(ann, bounced=True)
    await house.pass_days(1)
    assert await house.states() == {"ann@x.org": "suppressed"}, "three more"


async def test_nor_do_those_from_before_they_came_back(house: House) -> None:
    ann = await house.add("ann@x.org")
    for _ in range(3):
        await house.sent(ann, bounced=True, cause="recipient")
        house.clock.advance(timedelta(days=1))
    async with house.db.write(house.scope) as tx:
        now = house.clock.now()
        await states.mark_bounced(tx, house.scope, [ann], now)
        await states.resubscribe(tx, house.scope, contact_id=ContactId(ann), now=now, reason="link")
    await house.pass_days(1)
    assert await house.states() == {"ann@x.org": "subscribed"}


async def test_a_tenant_sets_its_own_rules(house: House, other: Scope) -> None:
    await house.add("silent@x.org")
    async with house.db.write(house.scope) as tx:
        await upkeep.change(tx, house.scope, now=NOW, hygiene=False)
    await house.pass_days(400, step=200)
    assert (await house.states())["silent@x.org"] == "subscribed"
    async with house.db.write(house.scope) as tx:
        await upkeep.change(tx, house.scope, now=NOW, hygiene=True, quiet_days=10, inactive_days=20)
        assert (await upkeep.rules_of(tx, house.scope)).quiet_days == 10
        for wrong in ({"quiet_days": 20}, {"bounces": 0}, {"keep_audit_days": 5}):
            with pytest.raises(InvalidInput):
                await upkeep.change(tx, house.scope, now=NOW, **wrong)
    async with house.db.read(other) as tx:
        assert await upkeep.rules_of(tx, other) == upkeep.Rules()
    editor = Scope(house.scope.tenant_id, "user:2", frozenset({Grant.READ, Grant.EDIT}))
    with pytest.raises(Forbidden):
        async with house.db.write(editor) as tx:
            await upkeep.change(tx, editor, now=NOW, hygiene=False)
    await house.pass_days(1)
    assert (await house.states())["silent@x.org"] == "inactive?"


async def test_a_message_asks_whether_they_still_want_mail(house: House) -> None:
    ann, new = await house.add("ann@x.org"), await house.add("new@x.org")
    await house.sent(ann)
    await house.pass_days(400, step=100)
    tokens = TokenSigner(KEYRING)
    async with house.db.write(house.scope) as tx:
        from mailengine.models import DefaultSender

        tx.add(DefaultSender(tenant_id=house.scope.tenant_id, name="Acme", email="news@example.org"))
        found = await reengagement.ask(
            tx,
            house.scope,
            contact_id=ann,
            tokens=tokens,
            base_url="https://acme.test",
            now=house.clock.now(),
        )
        with pytest.raises(Refused, match="never written to"):
            await reengagement.ask(
                tx, house.scope, contact_id=new, tokens=tokens, base_url="x", now=house.clock.now()
            )
        (message,) = await tx.scalars(owned(Message, house.scope))
    assert (found.state, message.email) == ("subscribed", "ann@x.org")
    assert "https://acme.test/u/" in message.text
    async with house.db.write(house.scope) as tx:
        await contacts.soft_delete(tx, house.scope, address="ann@x.org", now=NOW)
        with pytest.raises(NotFound):
            await hygiene.keep(tx, house.scope, contact_id=ann, now=NOW)
        await hygiene.give_up(tx, house.scope, contact_id=new, now=NOW)
        with pytest.raises(Conflict):
            await hygiene.keep(tx, house.scope, contact_id=new, now=NOW)


async def test_what_is_too_old_goes_and_figures_stay(house: House) -> None:
    reader = await house.add("reader@x.org")
    await house.opens(reader)
    async with house.db.write(house.scope) as tx:
        await upkeep.change(tx, house.scope, now=NOW, keep_events_days=90, keep_audit_days=60)
    for days, traces, old in ((70, 1, 0), (30, 0, 0)):
        await house.pass_days(days, step=days)
        async with house.db.read(house.scope) as tx:
            events = (await tx.scalars(owned(EmailEvent, house.scope))).all()
            entries = await audit.list_(tx, house.scope, page=PAGE, wanted=audit.Wanted(until=NOW))
        assert (len(events), sum(bool(event.ip) for event in events)) == (1, traces)
        assert entries.total == old
    async with house.db.read(house.scope) as tx:
        assert not (
            await tx.scalars(owned(AuditEntry, house.scope).where(table_of(AuditEntry).c.at <= NOW))
        ).all()
