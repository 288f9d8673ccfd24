"""The database: its rules, its clock, and whether the queue moves."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from mailengine.cli.examination.finding import Finding
from mailengine.cli.running import daemon_runs
from mailengine.core.scope import InstanceScope
from mailengine.core.wording import counted
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery import kill_switch
from mailengine.domain.delivery.claim import carrying
from mailengine.domain.integrity import violations
from mailengine.domain.reports.queue import queue_figures
from mailengine.migrations.run import head_revision
from mailengine.models import EmailTask, Lease, TaskStatus
from mailengine.runtime import Runtime

_INSTANCE = InstanceScope("cli")
_LATE_SECONDS, _TOO_LATE_SECONDS = 15 * 60.0, 60 * 60.0
_CLOCK_SECONDS = 5.0
_STUCK = timedelta(minutes=10)  # after a lease is over


async def examine(rt: Runtime) -> list[Finding]:
    findings = [Finding("schema", "ok", f"revision {head_revision()}, as this version wants it")]
    async with rt.db.read(_INSTANCE) as tx:
        findings += await _integrity(tx)
        findings += await _clock(tx, rt.clock.now())
        findings.append(await _switch(tx))
        findings.append(await _queue(tx, rt.clock.now()))
        findings.append(await _stuck(tx, rt.clock.now()))
        findings.append(await _doubts(tx))
        findings.append(await _leases(tx, rt.clock.now()))
    findings.append(await _daemon(rt))
    return findings


async def _integrity(tx: ReadTx) -> list[Finding]:
    todo = "this is a fault of the program: please report it with these lines"
    why = "figures are wrong, or a message may be sent twice or never"
    return [
        Finding(
            "integrity",
            "error",
            f"{violation.rule}: not so for {', '.join(map(str, violation.examples))}",
            todo,
            why,
        )
        for violation in await violations(tx, _INSTANCE)
    ] or [Finding("integrity", "ok", "every rule of the ledger holds")]


async def _clock(tx: ReadTx, now: datetime) -> list[Finding]:
    """PostgreSQL may run on a machine with a clock of its own; leases compare the two."""
    if not tx.postgres:
        return []
    theirs = await tx.scalar(sa.select(sa.func.clock_timestamp()))
    apart = abs((theirs - now).total_seconds()) if theirs is not None else 0.0
    words = f"the clocks of this machine and of PostgreSQL's are {apart:.1f} s apart"
    if apart <= _CLOCK_SECONDS:
        return [Finding("database_clock", "ok", words)]
    return [
        Finding(
            "database_clock", "warning", words, "let NTP keep both", "machines share work by leases in time"
        )
    ]


async def _switch(tx: ReadTx) -> Finding:
    state = await kill_switch.state(tx, _INSTANCE)
    todo = "look why, then `mailengine kill-switch off`"
    if state.instance is not None:
        words = f"on for all: {state.instance.reason or 'no reason given'}"
        return Finding("kill_switch", "warning", words, todo, "nothing is sent")
    if state.tenants:
        words = f"on for {len(state.tenants)} of the tenants"
        return Finding("kill_switch", "warning", words, "`mailengine kill-switch status` names them")
    return Finding("kill_switch", "ok", "off")


async def _queue(tx: ReadTx, now: datetime) -> Finding:
    figures = await queue_figures(tx, _INSTANCE, now=now)
    age = figures.oldest_due_seconds
    waiting = figures.campaign_messages + figures.transactional_messages
    words = f"{waiting:,} waiting, the oldest for {counted(round(age / 60), 'minute', 'minutes')}"
    todo = "see `mailengine campaign watch NAME`: it says what holds a campaign"
    why = "mail that could have left has not"
    if age >= _TOO_LATE_SECONDS:
        return Finding("queue", "error", words, todo, why)
    if age >= _LATE_SECONDS:
        return Finding("queue", "warning", words, todo, why)
    return Finding("queue", "ok", words)


async def _stuck(tx: ReadTx, now: datetime) -> Finding:
    stuck = sa.and_(carrying(TaskStatus.CLAIMED), table_of(EmailTask).c.lease_until < now - _STUCK)
    count = await tx.scalar(sa.select(sa.func.count()).where(stuck)) or 0
    if not count:
        return Finding("stuck", "ok", "no message is held by a process that is gone")
    words = counted(count, "message is", "messages are") + " held by a process that is gone"
    return Finding(
        "stuck", "warning", words, "start the daemon: it settles them", "they are neither sent nor failed"
    )


async def _doubts(tx: ReadTx) -> Finding:
    count = await tx.scalar(sa.select(sa.func.count()).where(carrying(TaskStatus.DOUBT))) or 0
    if not count:
        return Finding("doubts", "ok", "nothing is in doubt")
    return Finding(
        "doubts", "warning", counted(count, "message is", "messages are") + " in doubt",
        "`mailengine delivery doubts list` shows them",
        "they may have arrived or not, and are never sent again by themselves",
    )  # fmt: skip


async def _leases(tx: ReadTx, now: datetime) -> Finding:
    table = table_of(Lease).c
    rows = (await tx.execute(sa.select(table.name, table.expires_at).order_by(table.name))).all()
    far = [row.name for row in rows if row.expires_at > now + timedelta(hours=1)]
    if far:
        why = "nobody else may do this work until then"
        return Finding(
            "leases", "error", f"held far into the future: {', '.join(far)}", "correct the clock", why
        )
    held = [row.name for row in rows if row.expires_at > now]
    return Finding("leases", "ok", f"held: {', '.join(held) or 'none'}")


async def _daemon(rt: Runtime) -> Finding:
    if await daemon_runs(rt):
        return Finding("daemon", "ok", "it runs")
    return Finding(
        "daemon", "warning", "no daemon runs", "start it: `mailengine daemon`, or `mailengine service install`",
        "nothing is sent, no open or click is counted",
    )  # fmt: skip
