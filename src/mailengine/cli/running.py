"""Whether a daemon sends for this installation: one that serves here wrote `daemon.json`, one with other roles or
on another machine holds a lease in the database.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

# The domain loads inside the function: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.runtime import Runtime


async def daemon_runs(rt: "Runtime") -> bool:
    """True when one lives; for 15 seconds also when one that held a lease was killed."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.reports.progress import work_is_led

    if serves_here(rt.settings.data_dir):
        return True
    instance = InstanceScope("cli")
    async with rt.db.read(instance) as tx:
        return await work_is_led(tx, instance, now=rt.clock.now())


def serves_here(data_dir: Path) -> bool:
    """True when the process that wrote `daemon.json` is alive."""
    try:
        pid = int(json.loads((data_dir / "daemon.json").read_text())["pid"])
        os.kill(pid, 0)
    except PermissionError:  # it lives, and belongs to another user
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
