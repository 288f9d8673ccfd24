"""Whether a daemon sends for this installation: one that serves here wrote `daemon.json`, one with other roles or
on another machine holds a lease in the database.
"""

from typing import TYPE_CHECKING

from mailengine.core.serving import serving_here

# The domain loads inside the function: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.runtime import Runtime


async def daemon_runs(rt: "Runtime") -> bool:
    """True when one lives; for 15 seconds also when one that held a lease was killed."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.reports.progress import work_is_led

    if serving_here(rt.settings.data_dir):
        return True
    instance = InstanceScope("cli")
    async with rt.db.read(instance) as tx:
        return await work_is_led(tx, instance, now=rt.clock.now())
