"""Settling what dead workers left, before new ones start and whenever one dies."""

from datetime import timedelta

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.domain.delivery import journal
from mailengine.domain.delivery.recover import Owner, recover
from mailengine.domain.delivery.transactional import recover as transactional
from mailengine.runtime import Runtime, node_id

_INSTANCE = InstanceScope("role:recovery")

log = get_logger("recovery")


def owner_of(rt: Runtime) -> Owner:
    """Who claims for this installation directory, in this boot of the machine."""
    return Owner(node_id(rt.settings), journal.boot_id())


async def settle_dead(rt: Runtime) -> None:
    """Never raises for a database that does not answer or files that cannot be opened: the next call settles them."""
    folder = rt.settings.data_dir / "wire"
    try:
        owner, now = owner_of(rt), rt.clock.now()
        settled = await recover(rt.db, _INSTANCE, owner=owner, folder=folder, now=now)
        settled += await transactional.recover(
            rt.db,
            _INSTANCE,
            owner=owner,
            wire_folder=folder,
            now=now,
            retry_for=timedelta(hours=rt.settings.worker.retry_hours),
        )
    except (Unavailable, OSError) as error:
        log.error("cannot settle what dead workers left", words=str(error))
        return
    if settled:
        log.warning("settled what dead workers left", tasks=settled)
