"""After a death: what the wire journals and leases say about tasks that were claimed.

On this machine the journal tells per message; a claim of another machine, or of a boot before this one, or whose
journal is damaged, is in doubt as a whole batch but for what a journal shows as accepted. Nothing in doubt is sent
again silently.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.delivery import journal, outcome
from mailengine.domain.delivery.claim import ClaimedTask, carrying, is_under_way
from mailengine.domain.delivery.journal import Evidence, WireRecord, WireState
from mailengine.domain.delivery.outcome import Outcome
from mailengine.models import EmailTask, TaskStatus

DOUBT_ON_WIRE = "the worker died between the end of the message and the server's reply"
DOUBT_NO_JOURNAL = "the journal of this claim is missing"
DOUBT_DAMAGED = "the journal of this claim is damaged"
DOUBT_OLD_BOOT = "the machine stopped before the outcome was written"
DOUBT_OTHER_MACHINE = "the machine that had claimed it did not come back in time"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims: a machine's installation directory in one boot of that machine."""

    node: str
    boot: str

    def __str__(self) -> str:
        return f"{self.node}:{self.boot}"


class Record(Protocol):
    """Writes the outcomes of one claim, under its token."""

    def __call__(
        self, tx: WriteTx, scope: Scope, *, outcomes: list[Outcome], now: datetime
    ) -> Awaitable[int]: ...


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """What a ledger says is claimed, with the way to settle it."""

    claim_token: str
    tenant_id: TenantId
    owner: str
    lease_over: bool
    tasks: tuple[ClaimedTask, ...]
    record: Record


class Ledger(Protocol):
    """The open claims of a table: all, or the one of a token."""

    def __call__(
        self, tx: ReadTx, now: datetime, *, claim_token: str | None = None
    ) -> Awaitable[list[OpenClaim]]: ...


async def recover(
    db: Database,
    instance: InstanceScope,
    *,
    owner: Owner,
    folder: Path,
    now: datetime,
    open_claims: Ledger | None = None,
) -> int:
    """Settle every claim whose owner is dead; returns the number of tasks settled. Safe to run at any time,
    by any number of processes: living owners hold their journals' locks. Campaigns' claims, unless a ledger
    is given."""
    open_claims = open_claims or claims_of_campaigns
    settled = 0
    for left in journal.abandoned(folder):
        # Read under the journal's lock: nobody else settles this claim, and it is not older than the file.
        async with db.read(instance) as tx:
            if await is_under_way(tx, left.claim_token):
                continue  # without its journal the whole claim would be in doubt
            claims = await open_claims(tx, now, claim_token=left.claim_token)
        if any(_may_be_anothers(claim, owner) for claim in claims):
            continue  # a copy of its journal, which came with a copy of its data directory
        for claim in claims:
            settled += await _settle(db, claim, _by_journal(claim, left.read(), owner), now)
        left.remove()
    async with db.read(instance) as tx:
        claims = await open_claims(tx, now)
    for claim in claims:
        reason = _lost(claim, owner, folder)
        if reason is not None:
            verdicts = [outcome.doubtful(task, reason) for task in claim.tasks]
            settled += await _settle(db, claim, verdicts, now)
    return settled


def _may_be_anothers(claim: OpenClaim, owner: Owner) -> bool:
    return not claim.owner.startswith(f"{owner.node}:") and not claim.lease_over


def _lost(claim: OpenClaim, owner: Owner, folder: Path) -> str | None:
    """Why a claim without an abandoned journal is lost, None while its owner may live."""
    if claim.owner == str(owner):
        return None if journal.exists(folder, claim.claim_token) else DOUBT_NO_JOURNAL
    if claim.owner.startswith(f"{owner.node}:"):
        return DOUBT_OLD_BOOT
    return DOUBT_OTHER_MACHINE if claim.lease_over else None


def _by_journal(claim: OpenClaim, evidence: Evidence, owner: Owner) -> list[Outcome]:
    known = {record.task_id: record for record in evidence.records}
    distrust = _distrust(claim, evidence, owner)
    return [_one(task, known.get(task.id), distrust) for task in claim.tasks]


def _distrust(claim: OpenClaim, evidence: Evidence, owner: Owner) -> str | None:
    """Why a journal is believed only where it says that a message was accepted."""
    if claim.owner != str(owner):
        return DOUBT_OLD_BOOT
    named = {record.task_id for record in evidence.records}
    if not evidence.intact or (named and not all(task.id in named for task in claim.tasks)):
        return DOUBT_DAMAGED
    return None


def _one(task: ClaimedTask, record: WireRecord | None, distrust: str | None) -> Outcome:
    state = record.state if record else WireState.REST
    if record is not None and state is WireState.ACCEPTED:
        return outcome.sent(task, record.words)
    if distrust is not None:
        return outcome.doubtful(task, distrust)
    if state is WireState.ON_WIRE:
        return outcome.doubtful(task, DOUBT_ON_WIRE)
    return outcome.released(task)


async def _settle(db: Database, claim: OpenClaim, outcomes: list[Outcome], now: datetime) -> int:
    scope = Scope(claim.tenant_id, "role:recovery")
    async with db.write(scope) as tx:
        return await claim.record(tx, scope, outcomes=outcomes, now=now)


async def claims_of_campaigns(
    tx: ReadTx, now: datetime, *, claim_token: str | None = None
) -> list[OpenClaim]:
    tasks = table_of(EmailTask).c
    only = tasks.claim_token == claim_token if claim_token else sa.true()
    rows = await tx.execute(
        sa.select(
            tasks.claim_token,
            tasks.tenant_id,
            tasks.campaign_id,
            tasks.locked_by,
            tasks.lease_until,
            tasks.id,
            tasks.contact_id,
            tasks.email,
            tasks.attempts,
            tasks.first_tried_at,
        ).where(carrying(TaskStatus.CLAIMED), only)
    )
    claims: dict[str, list[Any]] = {}
    for row in rows:
        claims.setdefault(str(row.claim_token), []).append(row)
    return [
        OpenClaim(
            claim_token=token,
            tenant_id=found[0].tenant_id,
            owner=found[0].locked_by,
            lease_over=found[0].lease_until < now,
            tasks=tuple(
                ClaimedTask(row.id, row.contact_id, row.email, row.attempts, row.first_tried_at)
                for row in found
            ),
            record=partial(outcome.record, campaign_id=found[0].campaign_id, claim_token=token),
        )
        for token, found in claims.items()
    ]
