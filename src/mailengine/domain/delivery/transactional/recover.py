"""After a death: what was accepted is recorded, everything else of the dead owner's claims goes back into the queue.

The journal tells what was accepted, so that only what was in doubt can come twice. A claim whose evidence is
gone (another machine's, another boot's) is in doubt as a whole, and in doubt means again.
"""

import random
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.delivery import recover as recovery
from mailengine.domain.delivery.claim import ClaimedTask
from mailengine.domain.delivery.outcome import Outcome
from mailengine.domain.delivery.recover import OpenClaim, Owner
from mailengine.domain.delivery.transactional.batch import in_doubt
from mailengine.domain.delivery.transactional.claim import NOBODY
from mailengine.domain.delivery.transactional.record import record
from mailengine.models import Message, TaskStatus


def journals(wire_folder: Path) -> Path:
    """Apart from those of campaigns: a journal's ledger must be known when its owner is dead."""
    return wire_folder.with_name(f"{wire_folder.name}-messages")


async def recover(
    db: Database,
    instance: InstanceScope,
    *,
    owner: Owner,
    wire_folder: Path,
    now: datetime,
    retry_for: timedelta,
) -> int:
    """Settle the messages of dead owners; returns how many."""
    return await recovery.recover(
        db,
        instance,
        owner=owner,
        folder=journals(wire_folder),
        now=now,
        open_claims=partial(_open_claims, retry_for=retry_for),
    )


async def _open_claims(
    tx: ReadTx, now: datetime, *, retry_for: timedelta, claim_token: str | None = None
) -> list[OpenClaim]:
    messages = table_of(Message).c
    only = messages.claim_token == claim_token if claim_token else messages.claim_token.is_not(None)
    rows = await tx.execute(
        sa.select(
            messages.claim_token,
            messages.tenant_id,
            messages.locked_by,
            messages.lease_until,
            messages.id,
            messages.email,
            messages.attempts,
            messages.first_tried_at,
        )
        .where(only)
        .order_by(messages.claim_token, messages.id)
    )
    claims = []
    for token, group in groupby(rows, key=lambda row: str(row.claim_token)):
        found = list(group)
        claims.append(
            OpenClaim(
                claim_token=token,
                tenant_id=found[0].tenant_id,
                owner=found[0].locked_by,
                lease_over=found[0].lease_until < now,
                tasks=tuple(
                    ClaimedTask(row.id, NOBODY, row.email, row.attempts, row.first_tried_at) for row in found
                ),
                record=partial(_record, token, retry_for),
            )
        )
    return claims


async def _record(
    claim_token: str,
    retry_for: timedelta,
    tx: WriteTx,
    scope: Scope,
    *,
    outcomes: list[Outcome],
    now: datetime,
) -> int:
    chance = random.Random()  # noqa: S311  # jitter, not secrets
    settled = [
        in_doubt(each.task, each.words, now=now, retry_for=retry_for, chance=chance)
        if each.status is TaskStatus.DOUBT
        else each
        for each in outcomes
    ]
    return await record(tx, scope, claim_token=claim_token, outcomes=settled, now=now)
