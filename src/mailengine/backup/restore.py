"""Restoring: the backup becomes the installation, and what may have left after it is held back (`hold`).

Until the new database takes the old one's place nothing of the old installation is changed, so that a restore that
was killed can be done again. A database that is replaced is kept beside the new one (SQLite), its name ending in
`.replaced`; PostgreSQL's is replaced in one transaction.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from mailengine.backup import archive, postgres, sqlite_copy
from mailengine.backup.archive import DATABASE, FILES, SECRET, SETTINGS, Manifest
from mailengine.backup.hold import Holding, hold
from mailengine.backup.ledger import settle_by
from mailengine.core.config import Settings
from mailengine.core.errors import Conflict, InvalidInput, Unavailable
from mailengine.db.engine import normalise_url, sqlite_path
from mailengine.db.unit import translated_errors
from mailengine.migrations.run import refuse_unknown
from mailengine.models import metadata
from mailengine.runtime import secret_path

_STAGE = "restore.part"
# The dump's script leaves the search path empty.
_GUARD = """
RESET search_path;
DELETE FROM kill_switches WHERE key = 0;
INSERT INTO kill_switches (key, reason, set_by, set_at)
VALUES (0, 'a restore was not finished: do it again', 'restore', now());
"""
_GUARDED = "kill_switches"  # the guard's row came with the tables


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place; `held` must be looked at before anything is sent."""

    manifest: Manifest
    held: Holding
    replaced: Path | None
    settings_file: Path | None
    notes: tuple[str, ...]


async def restore(
    settings: Settings, source: Path, *, passphrase: str | None, overwrite: bool, now: datetime
) -> Restored:
    """Put a backup in place of what is there; raises Conflict where something is and `overwrite` is false.

    No daemon may run: the caller sees to that, and SQLite refuses a file that is in use.
    """
    await _check_place(settings, overwrite=overwrite)
    _check_source(source)
    stage = settings.data_dir / _STAGE
    with _explained(settings.data_dir):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(stage, ignore_errors=True)
        try:
            manifest = await to_thread.run_sync(archive.unpack, source, passphrase, stage)
            return await _put_in_place(settings, manifest, stage, now)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _check_source(source: Path) -> None:
    if not source.is_file():
        raise InvalidInput(f"{source}: there is no such file")


async def _check_place(settings: Settings, *, overwrite: bool) -> None:
    file = sqlite_path(settings.database_url)
    if overwrite:
        if file is None and await postgres.in_use(settings.database_url):
            raise Conflict("a daemon or a command uses the database; stop it and try again")
        return
    taken = [path for path in (file, secret_path(settings)) if path is not None and path.exists()]
    if taken:
        raise Conflict(f"{taken[0]} is there already; --overwrite replaces it, another --data-dir keeps it")
    if file is None and await _postgres_tables(settings.database_url):
        raise Conflict("the database is not empty; --overwrite replaces it, another --database-url keeps it")


async def _postgres_tables(url: str) -> list[str]:
    engine = create_async_engine(normalise_url(url), poolclass=NullPool)
    try:
        with translated_errors():
            async with engine.connect() as connection:
                return await postgres.tables(connection)
    finally:
        await engine.dispose()


async def _put_in_place(settings: Settings, manifest: Manifest, stage: Path, now: datetime) -> Restored:
    refuse_unknown(manifest.schema)
    file = sqlite_path(settings.database_url)
    kind = "postgresql" if file is None else "sqlite"
    if manifest.database != kind:
        raise InvalidInput(
            f"the backup holds a {manifest.database} database, and the settings name a {kind} one; "
            "restore it where it came from, then use `mailengine migrate-database`"
        )
    staged, taken_at = stage / DATABASE[kind], datetime.fromisoformat(manifest.taken_at)
    replaced = None
    if file is not None:
        held = await _ready(settings, manifest, staged, taken_at, now)
        _place_secret(settings, stage)
        replaced = _swap(staged, file, now)
    else:
        _place_secret(settings, stage)
        await _replace_postgres(settings.database_url, staged, stage)
        await _compare(settings.database_url, manifest)
        held = await hold(settings.database_url, settings.database, taken_at=taken_at, now=now)
    _place_files(stage / FILES, settings.data_dir)
    return Restored(
        manifest, held, replaced, _place_settings(settings, stage), tuple(_notes(settings, stage))
    )


async def _ready(
    settings: Settings, manifest: Manifest, staged: Path, taken_at: datetime, now: datetime
) -> Holding:
    """The SQLite database as it will be, before it is put in place."""
    await to_thread.run_sync(sqlite_copy.check, staged)
    if await to_thread.run_sync(sqlite_copy.counts, staged) != manifest.counts:
        raise InvalidInput("the database in the backup does not have the rows that its manifest names")
    held = await hold(f"sqlite:///{quote(str(staged))}", settings.database, taken_at=taken_at, now=now)
    later = sqlite_path(settings.database_url)
    if later is not None and later.exists():
        held = await to_thread.run_sync(settle_by, staged, later, held)
    await to_thread.run_sync(sqlite_copy.close_for_good, staged)
    return held


def _swap(staged: Path, file: Path, now: datetime) -> Path | None:
    """The new file takes the place of the old one, which keeps its content under another name."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        staged.replace(file)
        return None
    kept = file.with_name(f"{file.name}.{now:%Y%m%dT%H%M%SZ}.replaced")
    try:
        sqlite_copy.close_for_good(file)
    except Unavailable:
        if _in_use(file):
            raise
        for suffix in ("-wal", "-shm"):  # damaged: its WAL must not be applied to the new file
            if (beside := Path(f"{file}{suffix}")).exists():
                beside.replace(f"{kept}{suffix}")
    kept.unlink(missing_ok=True)
    kept.hardlink_to(file)
    staged.replace(file)
    return kept


def _in_use(file: Path) -> bool:
    """A file that SQLite can read is refused for its other users only."""
    try:
        sqlite_copy.schema(file)
    except Unavailable:
        return False
    return True


async def _replace_postgres(url: str, staged: Path, stage: Path) -> None:
    """Tables out and in by one transaction, which also turns sending off: whoever dies before `hold` is done must not
    leave a queue that goes out again."""
    drops, script, guard = stage / "drops.sql", stage / "database.sql", stage / "guard.sql"
    names = [*metadata.tables, "alembic_version"]
    drops.write_text("".join(f'DROP TABLE IF EXISTS "{name}" CASCADE;\n' for name in names))
    await postgres.to_sql(url, staged, script)
    guard.write_text(_GUARD)
    await postgres.run_scripts(url, [drops, script, guard])


async def _compare(url: str, manifest: Manifest) -> None:
    engine = create_async_engine(normalise_url(url), poolclass=NullPool)
    try:
        with translated_errors():
            async with engine.connect() as connection:
                await postgres.see_all(connection)
                found = await postgres.counts(connection)
    finally:
        await engine.dispose()
    counts = {name: count for name, count in manifest.counts.items() if name != _GUARDED}
    wrong = {name for name, count in counts.items() if found.get(name) != count}
    if wrong:
        raise Unavailable(f"the restored database differs from the backup in {', '.join(sorted(wrong))}")


def _place_secret(settings: Settings, stage: Path) -> None:
    """Under its usual name, also where the settings give one: then it must be the same."""
    target = secret_path(settings)
    if settings.secret_key is None:
        (stage / SECRET).replace(target)


def _notes(settings: Settings, stage: Path) -> Iterator[str]:
    if settings.secret_key is None:
        return
    given, stored = settings.secret_key.get_secret_value().strip(), (stage / SECRET).read_text().strip()
    if given != stored:
        yield "MAILENGINE_SECRET_KEY is not the secret of the backup: passwords and links of it cannot be read"


def _place_files(files: Path, data_dir: Path) -> None:
    for path in sorted(files.rglob("*")):
        if path.is_file():
            target = data_dir / path.relative_to(files)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.replace(target)


def _place_settings(settings: Settings, stage: Path) -> Path | None:
    """Beside the database, for a person to look at: this machine's addresses may be others."""
    if not (stage / SETTINGS).exists():
        return None
    target = settings.data_dir / "mailengine.toml.restored"
    (stage / SETTINGS).replace(target)
    return target


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{error.filename or folder}: {error.strerror}; the restore was not finished"
        ) from error
