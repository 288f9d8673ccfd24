"""A consistent copy of a SQLite file while others write to it.

One step of the backup API copies all pages under one read lock; in WAL mode that holds no writer up, and the copy is
the database of one moment. (Several steps would begin again with each write of another process, for ever
beside a daemon that sends.)
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from mailengine.core.errors import Unavailable

_WAIT_SECONDS = 30.0


def copy(source: Path, target: Path) -> None:
    """Blocking: run it in a thread. Raises Unavailable when the source cannot be read or the target written."""
    with _explained(source), closing(_open(source)) as original, closing(sqlite3.connect(target)) as made:
        made.execute("PRAGMA synchronous=OFF")  # the archive is what must reach the disk
        original.backup(made)
        made.execute("PRAGMA journal_mode=DELETE")  # one file, with no WAL beside it
    target.chmod(0o600)


def check(path: Path) -> None:
    """Raise Unavailable unless SQLite finds the whole file in order."""
    with _explained(path), closing(_open(path)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Unavailable(f"{path}: the database is damaged: {' '.join(str(found).split())}")


def counts(path: Path) -> dict[str, int]:
    """The rows of each table."""
    with _explained(path), closing(_open(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        return {
            str(name): int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608
            for (name,) in names
        }


def schema(path: Path) -> str:
    """The revision that alembic wrote."""
    with _explained(path), closing(_open(path)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        raise Unavailable(f"{path} is empty; run `mailengine init` first")
    return str(row[0])


def close_for_good(path: Path) -> None:
    """Bring what is in the WAL into the file and remove the WAL, which must never meet another file of this name.

    Raises Unavailable while another program has the database open.
    """
    with _explained(path), closing(_open(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != "delete":
        raise Unavailable(f"{path} is in use by another program; stop it and try again")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_WAIT_SECONDS)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"{path}: {error}; check the file, its permissions and the free space") from error
