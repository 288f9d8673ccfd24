"""Claiming: a batch of due tasks of one campaign becomes this worker's, under a claim token.

The token fences: an outcome is written only where the row still carries it. The lease matters only to other
machines; on this one the journal's lock tells at once that an owner died.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from mailengine.core.ids import CampaignId, TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.packed import Packed
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.models import Campaign, CampaignState, EmailTask, TaskStatus

LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class RunningCampaign:
    """A campaign that may send, and the relay that takes its mail (None: the tenant's first)."""

    campaign_id: CampaignId
    tenant_id: TenantId
    snapshot_id: int
    relay_id: int | None
    list_ids: tuple[int, ...]


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class ClaimedTask:
    """One row of the claim, as the ledger has it."""

    id: int
    contact_id: int
    email: str
    attempts: int
    first_tried_at: datetime | None


async def running_campaigns(tx: ReadTx, _instance: InstanceScope) -> list[RunningCampaign]:
    """Every campaign of the installation in the state `sending`."""
    return [
        RunningCampaign(campaign, tenant, snapshot, relay, tuple(lists))
        for campaign, tenant, snapshot, relay, lists in await _running().rows(tx, {})
    ]


@cache
def _running() -> Packed:
    campaigns = table_of(Campaign).c
    return Packed(
        sa.select(
            campaigns.id, campaigns.tenant_id, campaigns.snapshot_id, campaigns.relay_id, campaigns.list_ids
        ).where(campaigns.state == CampaignState.SENDING, campaigns.snapshot_id.is_not(None))
    )


async def claim(
    tx: WriteTx,
    scope: Scope,
    *,
    campaign_id: CampaignId,
    claim_token: str,
    owner: str,
    limit: int,
    now: datetime,
) -> list[ClaimedTask]:
    """Take up to `limit` due tasks; none when the campaign does not send any more."""
    values = {
        "tenant": scope.tenant_id,
        "campaign": campaign_id,
        "token": claim_token,
        "owner": owner,
        "most": limit,
        "now": now,
        "lease": now + LEASE,
    }
    if tx.postgres:
        await _locking().rows(tx, values)
        rows = await _taking(postgres=True).rows(tx, values)
    else:
        await _taking(postgres=False).rows(tx, values)
        rows = await _claimed().rows(tx, values)
    return sorted([ClaimedTask(*row) for row in rows], key=attrgetter("id"))


@cache
def _taking(*, postgres: bool) -> Prepared:
    """Takes the tasks; PostgreSQL returns them as well."""
    tasks, tenant = table_of(EmailTask), sa.bindparam("tenant", type_=sa.BigInteger)
    due = (
        sa.select(tasks.c.id)
        .where(
            tasks.c.tenant_id == tenant,
            tasks.c.campaign_id == sa.bindparam("campaign"),
            tasks.c.status == sa.literal_column("'queued'"),  # literal: the partial index must match
            tasks.c.scheduled_at <= sa.bindparam("now"),
            _is_sending(tenant, sa.bindparam("campaign", type_=sa.BigInteger)),
        )
        .order_by(tasks.c.scheduled_at, tasks.c.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    # As a CTE: PostgreSQL may run a plain subquery again for each row and so take more than the limit.
    chosen = (due.with_for_update(skip_locked=True) if postgres else due).cte("due")
    taking = (
        sa.update(tasks)
        .where(tasks.c.tenant_id == tenant, tasks.c.id.in_(sa.select(chosen.c.id)))
        .values(
            status=TaskStatus.CLAIMED,
            locked_by=sa.bindparam("owner"),
            claim_token=sa.bindparam("token"),
            lease_until=sa.bindparam("lease"),
        )
    )
    return Prepared(taking.returning(*_fields()) if postgres else taking)


def _fields() -> tuple[sa.Column[Any], ...]:
    """What a ClaimedTask is made of."""
    tasks = table_of(EmailTask).c
    return tasks.id, tasks.contact_id, tasks.email, tasks.attempts, tasks.first_tried_at


@cache
def _claimed() -> Packed:
    return Packed(sa.select(*_fields()).where(of_claim()))


def carrying(status: Literal[TaskStatus.CLAIMED, TaskStatus.DOUBT]) -> sa.ColumnElement[bool]:
    """Tasks in a state in which they carry a claim's token: a task does so in these two and in no other."""
    tasks = table_of(EmailTask).c
    return sa.and_(tasks.status == sa.literal_column(f"'{status}'"), tasks.claim_token.is_not(None))


def of_claim() -> sa.ColumnElement[bool]:
    """What the claim of the parameters `tenant` and `token` still holds."""
    tasks = table_of(EmailTask).c
    return sa.and_(
        tasks.tenant_id == sa.bindparam("tenant"),
        carrying(TaskStatus.CLAIMED),
        tasks.claim_token == sa.bindparam("token"),
    )


async def is_under_way(tx: ReadTx, claim_token: str) -> bool:
    """Whether the claim's transaction may still commit, though its owner is dead: PostgreSQL goes on with a COMMIT
    whose sender was killed. A transaction of SQLite dies with its process."""
    if not tx.postgres:
        return False
    free = await tx.scalar(
        sa.select(sa.func.pg_try_advisory_xact_lock(_lock_of_claim())), {"token": claim_token}
    )
    return not free


@cache
def _locking() -> Prepared:
    return Prepared(sa.select(sa.func.pg_advisory_xact_lock(_lock_of_claim())))


def _lock_of_claim() -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(sa.bindparam("token", type_=sa.Text), 0)


async def renew(tx: WriteTx, scope: Scope, *, claim_token: str, now: datetime) -> None:
    """Push the lease of a batch that takes long."""
    mine = of_claim().params(tenant=scope.tenant_id, token=claim_token)
    await tx.execute(sa.update(table_of(EmailTask)).where(mine).values(lease_until=now + LEASE))


def _is_sending(tenant: sa.BindParameter[int], campaign: sa.BindParameter[int]) -> sa.ColumnElement[bool]:
    campaigns = table_of(Campaign)
    return sa.exists().where(
        campaigns.c.tenant_id == tenant,
        campaigns.c.id == campaign,
        campaigns.c.state == CampaignState.SENDING,
    )
