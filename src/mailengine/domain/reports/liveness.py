"""Whether the parts that work behind the web server are there."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.db.unit import ReadTx
from mailengine.models import Lease

WORKER_LEASE = "worker:"  # and the machine's name: every one that sends has its own


async def scheduler_runs(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> bool:
    """Whether some process of the installation holds the scheduler's lease, which it renews every few seconds."""
    found = await tx.scalar(
        sa.select(col(Lease.name)).where(col(Lease.name) == "scheduler", col(Lease.expires_at) > now)
    )
    return found is not None


async def worker_runs(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> bool:
    """Whether the role worker runs anywhere; its processes come and go with the queue."""
    named = col(Lease.name).startswith(WORKER_LEASE, autoescape=True)
    found = await tx.scalar(sa.select(col(Lease.name)).where(named, col(Lease.expires_at) > now).limit(1))
    return found is not None


async def sending_machines(tx: ReadTx, _instance: InstanceScope, *, now: datetime) -> int:
    """On how many machines the role worker runs."""
    named = col(Lease.name).startswith(WORKER_LEASE, autoescape=True)
    counted = sa.select(sa.func.count()).select_from(Lease).where(named, col(Lease.expires_at) > now)
    return await tx.scalar(counted) or 0
