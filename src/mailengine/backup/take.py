"""Taking a backup: database, secret, settings and files of an installation in one verified file.

The daemon goes on meanwhile: the database is copied as of one moment.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from anyio import to_thread

from mailengine import __version__
from mailengine.backup import archive, postgres, sqlite_copy
from mailengine.backup.archive import DATABASE, FILES, FORMAT, SECRET, SETTINGS, Manifest, Member, Source
from mailengine.core.config import Settings
from mailengine.core.errors import Conflict, InvalidInput, Unavailable
from mailengine.core.secrets import load_keyring
from mailengine.db.engine import sqlite_path
from mailengine.runtime import require_installation, secret_path

NAME = "mailengine-{stamp}.backup"
_GLOB = "mailengine-*.backup"
# What belongs to this machine or to a process that runs, and what is a copy itself.
_NOT_OURS = (
    "secret.key",
    "mailengine.toml",
    "node.id",
    "daemon.json",
    "health.json",
    "wire",
    "backups",
    "caught",
    "logs",
    "restore.part",
    "setup-link",
)
_NOT_ENDING = (".lock", ".log", ".part", "-wal", "-shm", "-journal", ".replaced")


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was written and read again."""

    path: Path
    size: int
    manifest: Manifest
    removed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Copied:
    kind: str
    path: Path
    schema: str
    counts: dict[str, int]


async def take(
    settings: Settings,
    target: Path,
    *,
    now: datetime,
    passphrase: str | None = None,
    keep: int | None = None,
    config: Path | None = None,
) -> Taken:
    """Write a backup to a new file, or into a directory under a name that tells its time.

    With `keep` only so many of the newest stay in that directory. Raises Conflict for a file that is there,
    Unavailable when something cannot be read or written.
    """
    require_installation(settings)
    path = _place(target, now, keep)
    with (
        _explained(path),
        tempfile.TemporaryDirectory(prefix=".backup-", suffix=".part", dir=path.parent) as scratch,
    ):
        copied = await _copy_database(settings, Path(scratch))
        sources = [Source(DATABASE[copied.kind], copied.path), _secret(settings, Path(scratch))]
        if config is not None:
            sources.append(Source(SETTINGS, config))
        sources += _files(settings)
        describe = partial(_describe, copied, now)
        manifest = await to_thread.run_sync(archive.write, path, sources, describe, passphrase)
    removed = _rotate(path.parent, keep) if keep is not None else ()
    return Taken(path, path.stat().st_size, manifest, removed)


def _place(target: Path, now: datetime, keep: int | None) -> Path:
    if target.is_dir():
        return target / NAME.format(stamp=now.strftime("%Y%m%dT%H%M%SZ"))
    if keep is not None:
        raise InvalidInput(f"--keep needs a directory, and {target} is none")
    if target.exists():
        raise Conflict(f"{target} is there already; choose another name, or a directory")
    if not target.parent.is_dir():
        raise InvalidInput(f"{target.parent}: there is no such directory")
    return target


async def _copy_database(settings: Settings, scratch: Path) -> _Copied:
    file = sqlite_path(settings.database_url)
    if file is None:
        target = scratch / DATABASE["postgresql"]
        schema, counted = await postgres.dump(settings.database_url, target)
        return _Copied("postgresql", target, schema, counted)
    target = scratch / DATABASE["sqlite"]
    await to_thread.run_sync(sqlite_copy.copy, file, target)
    await to_thread.run_sync(sqlite_copy.check, target)
    counted = await to_thread.run_sync(sqlite_copy.counts, target)
    return _Copied("sqlite", target, sqlite_copy.schema(target), counted)


def _secret(settings: Settings, scratch: Path) -> Source:
    """The secret, wherever the settings have it from."""
    configured = settings.secret_key.get_secret_value() if settings.secret_key else None
    path = scratch / SECRET
    path.write_text(load_keyring(secret_path(settings), configured).text())
    return Source(SECRET, path)


def _files(settings: Settings) -> list[Source]:
    """Everything else in the data directory: media, reports, exports."""
    root, database = settings.data_dir, sqlite_path(settings.database_url)
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_symlink() or not path.is_file() or path == database or name.parts[0] in _NOT_OURS:
            continue
        if not path.name.endswith(_NOT_ENDING) and ".part" not in str(name.parts[0]) and not _is_backup(path):
            found.append(Source(FILES + name.as_posix(), path))
    return found


def _is_backup(path: Path) -> bool:
    return path.match(_GLOB)


def _describe(copied: _Copied, now: datetime, members: dict[str, Member]) -> Manifest:
    return Manifest(FORMAT, __version__, now.isoformat(), copied.kind, copied.schema, copied.counts, members)


def _rotate(folder: Path, keep: int) -> tuple[Path, ...]:
    """Remove all but the newest; their names sort by time."""
    old = tuple(sorted(folder.glob(_GLOB))[:-keep])
    for path in old:
        path.unlink()
    return old


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or path
        reason = error.strerror or os.strerror(error.errno or 0)
        raise Unavailable(f"{where}: {reason}; no backup was written") from error
