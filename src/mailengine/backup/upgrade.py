"""To a newer schema with a way back: a backup, then the migration, while no other process does the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mailengine.backup.take import take
from mailengine.core.config import Settings, config_file
from mailengine.core.errors import NotFound, Unavailable
from mailengine.migrations import run

_GLOB = "before-upgrade-*.backup"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """`found` is the schema that was there, None in an empty database; `backup` None when nothing had to change."""

    found: str | None
    schema: str
    backup: Path | None


async def upgrade(
    settings: Settings, *, now: datetime, new: bool, unsaved: Callable[[str], None] | None = None
) -> Upgraded:
    """Bring the database to this code's schema; an empty one only if it may be `new`. Two that are started at once do
    it once.

    Where no backup can be written, Unavailable is raised before anything changed; with `unsaved` that is called with
    the reason, and the database is migrated all the same.
    """
    async with run.alone(settings.database_url, settings.database) as connection:
        found, backup = await run.known_revision(connection), None
        if found is None and not new:
            run.check_head(found)
        if found is not None and found != run.head_revision():
            try:
                backup = await _back_up(settings, found, now)
            except Unavailable as error:
                if unsaved is None:
                    raise Unavailable(
                        f"nothing was changed, because no backup can be written: {error}"
                    ) from error
                unsaved(str(error))
        return Upgraded(found, await run.migrate(connection), backup)


async def _back_up(settings: Settings, found: str, now: datetime) -> Path:
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
