"""The way back from a newer schema: a backup that is written before the database is migrated."""

from datetime import datetime
from pathlib import Path

from mailengine.backup.take import take
from mailengine.core.config import Settings, config_file
from mailengine.core.errors import NotFound
from mailengine.migrations import run

_GLOB = "before-upgrade-*.backup"


async def before_upgrade(settings: Settings, found: str | None, *, now: datetime) -> Path | None:
    """Back up an installation whose schema, `found`, is older than this code's; None when nothing would change.

    Raises Unavailable when the backup cannot be written.
    """
    if found is None or found == run.head_revision():
        return None
    run.refuse_unknown(found)
    folder = settings.data_dir / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"before-upgrade-{now:%Y%m%dT%H%M%SZ}-{found}.backup"
    return (await take(settings, target, now=now, config=config_file(settings.data_dir))).path


def newest(settings: Settings) -> Path:
    """The backup before the last upgrade; raises NotFound."""
    folder = settings.data_dir / "backups"
    found = sorted(folder.glob(_GLOB))
    if not found:
        raise NotFound(f"there is no backup of an upgrade in {folder}")
    return found[-1]
