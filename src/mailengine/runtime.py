"""The one place that builds concrete things from settings; faces and roles get a `Runtime`."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mailengine.core.clock import Clock, SystemClock
from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.secrets import Keyring, load_keyring
from mailengine.db.engine import normalise_url, sqlite_path
from mailengine.db.unit import Database, translated_errors
from mailengine.domain.delivery.wake import bell_of
from mailengine.migrations.run import check_current


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an installation is made of while a process runs; closed by `open_runtime`."""

    settings: Settings
    db: Database
    clock: Clock
    keyring: Keyring


def secret_path(settings: Settings) -> Path:
    return settings.data_dir / "secret.key"


@asynccontextmanager
async def open_runtime(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Open an installation that `init` made; raises Unavailable when there is none or its schema differs."""
    keyring = require_installation(settings)
    bell = bell_of(settings)
    db = Database(settings.database_url, settings.database, on_commit=bell.ring)
    try:
        with translated_errors():
            async with db.reader.connect() as connection:
                await check_current(connection)
        yield Runtime(settings, db, clock or SystemClock(), keyring)
    finally:
        await db.close()
        await bell.close()


def node_id(settings: Settings) -> str:
    """The name of this machine's installation directory, for claims: stable across restarts."""
    path = settings.data_dir / "node.id"
    if not path.exists():
        draft = path.with_name(f"node.id.{os.getpid()}")
        draft.write_text(uuid.uuid4().hex + "\n")
        try:
            os.link(draft, path)  # atomic, and the first process wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def require_installation(settings: Settings) -> Keyring:
    """Raise Unavailable where `init` was never run: SQLite would make an empty file where there is none, and a
    wrong path must not look like a new start."""
    configured = settings.secret_key.get_secret_value() if settings.secret_key else None
    keyring = load_keyring(secret_path(settings), configured)
    path = sqlite_path(normalise_url(settings.database_url))
    if path is not None and not path.exists():
        raise Unavailable(f"{path}: there is no database; run `mailengine init` first")
    return keyring
