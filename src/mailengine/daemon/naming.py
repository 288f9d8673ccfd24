"""The name under which this machine claims: no other that lives has it.

A data directory that was copied, by hand or with the image of a machine, brings its original's name along; each of
the two would take the other's claims for what its own dead left. Who is who, the leases tell.
"""

import asyncio
from datetime import datetime

from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.daemon import lease
from mailengine.daemon.recovery import owner_of
from mailengine.daemon.restart import wait
from mailengine.domain.reports.liveness import WORKER_LEASE
from mailengine.runtime import Runtime, node_file, node_id, rename_node

_LOOK_SECONDS = 1.0
_INSTANCE = InstanceScope("role:worker")

log = get_logger("daemon")


def holder_of(rt: Runtime) -> str:
    """Who holds leases here: the name, and what no copy of it shares, the boot and the place of its file."""
    owner, file = owner_of(rt), node_file(rt.settings).stat()
    return f"{owner}:{file.st_dev:x}:{file.st_ino:x}"


def worker_lease(rt: Runtime) -> str:
    return f"{WORKER_LEASE}{node_id(rt.settings)}"


async def own_name(rt: Runtime, stop: asyncio.Event) -> bool:
    """Hold our name's lease, or take another name if a machine lives by this one; False when `stop` came first.

    One that renews its lease lives. One that does not, as this machine itself before its restart, is waited for until
    the lease is over.
    """
    seen: datetime | None = None
    while (until := await _others_until(rt)) is not None:
        if seen is not None and until > seen:
            rename_node(rt.settings)
            log.warning(
                "another machine goes by the name in node.id, so the data directory is a copy: it has a new name now"
            )
            seen = None
            continue
        seen = until
        if await wait(stop, _LOOK_SECONDS):
            return False
    return True


async def _others_until(rt: Runtime) -> datetime | None:
    """Until when another machine holds our name, None when it is ours. It is taken at once, so that of copies which
    start together one alone keeps it."""
    name, holder, now = worker_lease(rt), holder_of(rt), rt.clock.now()
    async with rt.db.write(_INSTANCE) as tx:
        if not tx.postgres:
            return None  # a file has one machine; and a copy of it would bring the lease along
        if await lease.take(tx, name=name, holder=holder, now=now):
            return None
        return await lease.others_until(tx, name=name, holder=holder, now=now)
