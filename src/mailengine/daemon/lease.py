"""Work that only one process of an installation does.

Two locks, because each knows what the other cannot: a file lock tells the processes of one machine apart and
is gone the moment its holder dies, a row with a time limit tells the machines apart. So a daemon that is
started again after `kill -9` takes over at once, and one whose machine is gone is replaced after the limit.
"""

import fcntl
import os
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from mailengine.core.clock import Clock
from mailengine.core.scope import InstanceScope
from mailengine.db.insert import insert_into
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.models import Lease

HOLD = timedelta(seconds=15)
RENEW = timedelta(seconds=5)


class Leadership:
    """One name's lease; `held` must be asked before each piece of work."""

    def __init__(self, db: Database, clock: Clock, *, name: str, node: str, folder: Path) -> None:
        self._db, self._clock, self._name, self._node = db, clock, name, node
        self._file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._locked = False
        self._until: datetime | None = None

    async def held(self) -> bool:
        """True while this process may do the work; takes or renews the lease when it is time."""
        if not self._lock():
            return False
        now = self._clock.now()
        if self._until is None or now > self._until - HOLD + RENEW:
            async with self._db.write(InstanceScope("role:scheduler")) as tx:
                taken = await take(tx, name=self._name, holder=self._node, now=now)
            self._until = now + HOLD if taken else None
        return self._until is not None

    async def release(self) -> None:
        """Let another process have it now; this object is of no use any more, also when the database is gone."""
        try:
            if self._until is not None:
                self._until = None
                async with self._db.write(InstanceScope("role:scheduler")) as tx:
                    await give_back(tx, name=self._name, holder=self._node)
        finally:
            os.close(self._file)  # else our own next try would find the lock taken, for ever

    def _lock(self) -> bool:
        if not self._locked:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._locked = True
        return True


async def take(tx: WriteTx, *, name: str, holder: str, now: datetime) -> bool:
    """Take or renew the lease; False while another holder's has not run out."""
    table = table_of(Lease)
    statement = insert_into(tx, Lease).values(name=name, holder=holder, expires_at=now + HOLD)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.name],
        set_={"holder": holder, "expires_at": now + HOLD},
        where=sa.or_(table.c.holder == holder, table.c.expires_at < now),
    )
    taken = await tx.execute(statement.returning(table.c.holder))
    return taken.first() is not None


async def others_until(tx: ReadTx, *, name: str, holder: str, now: datetime) -> datetime | None:
    """When the lease of another holder runs out, None when there is none."""
    table = table_of(Lease).c
    until: datetime | None = await tx.scalar(
        sa.select(table.expires_at).where(table.name == name, table.holder != holder, table.expires_at >= now)
    )
    return until


async def give_back(tx: WriteTx, *, name: str, holder: str) -> None:
    table = table_of(Lease)
    await tx.execute(sa.delete(table).where(table.c.name == name, table.c.holder == holder))
