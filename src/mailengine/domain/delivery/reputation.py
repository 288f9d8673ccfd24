"""The reputation of each tenant, by what became of its mail in the last 30 days (P5-07).

Over 5 % bounces or 0.3 % complaints are bad: the tenant's kill switch goes on, with the rate as its reason. From
2 % bounces on a tenant is risky: its campaigns are fed after those of others. Both need a volume, so that one
bounce among ten messages decides nothing.

Who switches sending on again is not overruled by the past: from then on only what happens after the suspension
counts for the next one, with the same volume. Until the 30 days look better, the tenant stays risky.

Sent comes from the campaigns' totals (of one that began before the 30 days, the share of its time that lies in
them), bounces from the dead letters whose cause is the recipient, complaints from the audit log, which alone
knows when a contact complained. No ledger is read, so that asking every minute costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.delivery import kill_switch
from mailengine.models import AuditEntry, Campaign, CampaignTotals, DeadLetter, Reputation, Standing

WINDOW = timedelta(days=30)
RISKY_BOUNCES = 0.02
BAD_BOUNCES = 0.05
BAD_COMPLAINTS = 0.003
MIN_ATTEMPTS = 100
MIN_SENT_FOR_COMPLAINTS = 1000  # below it, three complaints would do


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of a tenant's mail in a span of time; `sent` is what servers accepted."""

    sent: int = 0
    bounces: int = 0
    complaints: int = 0

    @property
    def bounce_rate(self) -> float:
        """The share of bounces in what was tried."""
        return self.bounces / max(1, self.sent + self.bounces)

    @property
    def complaint_rate(self) -> float:
        """The share of complaints in what was accepted."""
        return self.complaints / max(1, self.sent)

    @property
    def fault(self) -> str:
        """Why it is bad; empty when it is not."""
        if self._volume and self.bounce_rate > BAD_BOUNCES:
            return f"bounce rate {100 * self.bounce_rate:.1f} %"
        if self.sent >= MIN_SENT_FOR_COMPLAINTS and self.complaint_rate > BAD_COMPLAINTS:
            return f"complaint rate {100 * self.complaint_rate:.2f} %"
        return ""

    @property
    def standing(self) -> Standing:
        if self.fault:
            return Standing.BAD
        risky = self._volume and self.bounce_rate >= RISKY_BOUNCES
        return Standing.RISKY if risky else Standing.OK

    @property
    def _volume(self) -> bool:
        return self.sent + self.bounces >= MIN_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows for a tenant; `fault` is set when its sending is to be suspended now."""

    tenant_id: TenantId
    figures: Figures
    standing: Standing
    fault: str
    held: bool  # the kill switch is on already
    marked: bool  # there was a suspension: what came before must not lead to another

    def news(self, known: Reputation | None) -> bool:
        """Whether anything differs from what is stored."""
        if known is None:
            return True
        stored = (known.standing, known.sent, known.bounces, known.complaints, known.held_at is not None)
        figures = self.figures
        return stored != (self.standing, figures.sent, figures.bounces, figures.complaints, self.marked)


async def evaluate(db: Database, instance: InstanceScope, *, now: datetime) -> list[Ruling]:
    """Judge every tenant that sent something; returns those that were suspended now."""
    async with db.read(instance) as tx:
        known = {row.tenant_id: row for row in await tx.scalars(sa.select(Reputation))}
        rulings = await _rulings(tx, instance, known, now)
    changed = [ruling for ruling in rulings if ruling.fault or ruling.news(known.get(ruling.tenant_id))]
    if changed:
        async with db.write(instance) as write:
            for ruling in changed:
                await _store(write, instance, ruling, now)
    return [ruling for ruling in changed if ruling.fault]


async def lower_lane(tx: ReadTx, _instance: InstanceScope) -> frozenset[int]:
    """The tenants whose campaigns come after those of others."""
    return frozenset([row[0] for row in await _lower().rows(tx, {})])


@cache
def _lower() -> Prepared:
    reputations = table_of(Reputation).c
    return Prepared(sa.select(reputations.tenant_id).where(reputations.standing != sa.literal_column("'ok'")))


def comes_after(row: Reputation | None) -> bool:
    """Whether the tenant's campaigns come after those of others: `lower_lane`, of one."""
    return row is not None and row.standing != Standing.OK


async def stored(tx: ReadTx, scope: Scope) -> Reputation | None:
    """What the scheduler last thought; None before it ever had something to judge."""
    return await tx.scalar(owned(Reputation, scope))


async def figures(tx: ReadTx, scope: Scope, *, now: datetime) -> Figures:
    """A tenant's figures as they are now."""
    found = await _figures(tx, [scope.tenant_id], since=now - WINDOW, now=now)
    return found[scope.tenant_id]


async def _rulings(
    tx: ReadTx, instance: InstanceScope, known: Mapping[int, Reputation], now: datetime
) -> list[Ruling]:
    since = now - WINDOW
    switches = await kill_switch.state(tx, instance)
    tenants = sorted({*await _senders(tx, since), *known})
    windows = await _figures(tx, tenants, since=since, now=now)
    rulings = []
    for tenant in tenants:
        row, held = known.get(tenant), tenant in switches.tenants
        marked = row is not None and row.held_at is not None
        fresh = await _since_held(tx, row) if row is not None and marked and not held else None
        rulings.append(_rule(TenantId(tenant), windows[tenant], fresh, held=held, marked=marked))
    return rulings


def _rule(tenant: TenantId, window: Figures, fresh: Figures | None, *, held: bool, marked: bool) -> Ruling:
    """Pure. `fresh` is what happened since a suspension that somebody ended, `marked` that there was one."""
    if held:
        return Ruling(tenant, window, window.standing, "", held, marked)
    if window.standing is not Standing.BAD:
        return Ruling(tenant, window, window.standing, "", held, marked=False)
    fault = (window if fresh is None else fresh).fault
    return Ruling(tenant, window, Standing.BAD if fault else Standing.RISKY, fault, held, marked=True)


async def _store(tx: WriteTx, instance: InstanceScope, ruling: Ruling, now: datetime) -> None:
    figures = ruling.figures
    row = await tx.get(Reputation, ruling.tenant_id)
    if row is None:
        row = Reputation(
            tenant_id=ruling.tenant_id, standing="", sent=0, bounces=0, complaints=0, evaluated_at=now
        )
        tx.add(row)
    row.standing, row.evaluated_at = ruling.standing, now
    row.sent, row.bounces, row.complaints = figures.sent, figures.bounces, figures.complaints
    if not ruling.marked:
        row.held_at = None
    elif ruling.held or ruling.fault:
        # Moves on while the switch is on: what was on the wire then is of before.
        row.held_at, row.sent_before = now, await _ever_sent(tx, ruling.tenant_id)
    if ruling.fault:
        await _suspend(tx, instance, ruling, now)


async def _suspend(tx: WriteTx, instance: InstanceScope, ruling: Ruling, now: datetime) -> None:
    figures = ruling.figures
    await kill_switch.set_on(
        tx,
        instance,
        tenant_id=ruling.tenant_id,
        reason=f"{ruling.fault}: sending is suspended",
        actor=instance.actor,
        now=now,
    )
    await audit.record(
        tx,
        Scope(ruling.tenant_id, instance.actor),
        "reputation.suspend",
        "tenant",
        ruling.tenant_id,
        now=now,
        fault=ruling.fault,
        sent=figures.sent,
        bounces=figures.bounces,
        complaints=figures.complaints,
    )


async def _senders(tx: ReadTx, since: datetime) -> Sequence[int]:
    campaigns = table_of(Campaign).c
    found = await tx.scalars(sa.select(campaigns.tenant_id).where(_sending_since(since)).distinct())
    return found.all()


async def _figures(
    tx: ReadTx, tenants: Sequence[int], *, since: datetime, now: datetime
) -> dict[int, Figures]:
    sent = await _sent(tx, tenants, since, now)
    bounces = await _bounces(tx, tenants, since)
    complaints = await _complaints(tx, tenants, since)
    return {
        tenant: Figures(sent.get(tenant, 0), bounces.get(tenant, 0), complaints.get(tenant, 0))
        for tenant in tenants
    }


async def _since_held(tx: ReadTx, row: Reputation) -> Figures:
    assert row.held_at is not None
    tenants = [row.tenant_id]
    return Figures(
        max(0, await _ever_sent(tx, row.tenant_id) - row.sent_before),
        (await _bounces(tx, tenants, row.held_at)).get(row.tenant_id, 0),
        (await _complaints(tx, tenants, row.held_at)).get(row.tenant_id, 0),
    )


def _sending_since(since: datetime) -> sa.ColumnElement[bool]:
    """Campaigns that sent in the window, and those that still do."""
    campaigns = table_of(Campaign).c
    return sa.and_(
        sa.or_(campaigns.finished_at >= since, campaigns.finished_at.is_(None)),
        campaigns.launched_at.is_not(None),
    )


async def _sent(tx: ReadTx, tenants: Sequence[int], since: datetime, now: datetime) -> dict[int, int]:
    campaigns, totals = table_of(Campaign).c, table_of(CampaignTotals).c
    joined = table_of(Campaign).join(table_of(CampaignTotals), totals.campaign_id == campaigns.id)
    whose = (campaigns.tenant_id.in_(tenants), totals.tenant_id.in_(tenants), _sending_since(since))
    whole = await tx.execute(
        sa.select(campaigns.tenant_id, sa.func.sum(totals.sent))
        .select_from(joined)
        .where(*whose, campaigns.launched_at >= since)
        .group_by(campaigns.tenant_id)
    )
    sent = {int(tenant): int(count) for tenant, count in whole}
    parts = await tx.execute(
        sa.select(campaigns.tenant_id, totals.sent, campaigns.launched_at, campaigns.finished_at)
        .select_from(joined)
        .where(*whose, campaigns.launched_at < since)
    )
    for tenant, count, launched, finished in parts:
        end = finished or now
        sent[tenant] = sent.get(tenant, 0) + round(count * ((end - since) / (end - launched)))
    return sent


async def _bounces(tx: ReadTx, tenants: Sequence[int], since: datetime) -> Mapping[int, int]:
    letters = table_of(DeadLetter).c
    bounced = letters.cause == sa.literal_column("'recipient'")  # literal: the partial index must match
    rows = await tx.execute(
        sa.select(letters.tenant_id, sa.func.count())
        .where(letters.tenant_id.in_(tenants), letters.at > since, bounced)
        .group_by(letters.tenant_id)
    )
    return {int(tenant): int(count) for tenant, count in rows}


async def _complaints(tx: ReadTx, tenants: Sequence[int], since: datetime) -> Mapping[int, int]:
    entries = table_of(AuditEntry).c
    complained = entries.action == sa.literal_column("'contact.complained'")
    rows = await tx.execute(
        sa.select(entries.tenant_id, sa.func.count())
        .where(entries.tenant_id.in_(tenants), entries.at > since, complained)
        .group_by(entries.tenant_id)
    )
    return {int(tenant): int(count) for tenant, count in rows}


async def _ever_sent(tx: ReadTx, tenant_id: int) -> int:
    totals = table_of(CampaignTotals).c
    query = sa.select(sa.func.coalesce(sa.func.sum(totals.sent), 0)).where(totals.tenant_id == tenant_id)
    return int(await tx.scalar(query) or 0)
