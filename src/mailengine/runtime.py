"""The one place that builds concrete things from settings; faces and roles get a `Runtime`."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailengine.core.clock import Clock, SystemClock
from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.scope import InstanceScope
from mailengine.core.secrets import Keyring, create_secret, load_keyring
from mailengine.db.engine import normalise_url, sqlite_path
from mailengine.db.unit import Database, translated_errors
from mailengine.domain.accounts.setup import base_url
from mailengine.domain.delivery.wake import bell_of
from mailengine.migrations.run import check_current, current_revision


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
        yield Runtime(await _with_base_url(settings, db), db, clock or SystemClock(), keyring)
    finally:
        await db.close()
        await bell.close()


async def _with_base_url(settings: Settings, db: Database) -> Settings:
    """The base URL that the first steps stored counts where the settings name none."""
    if settings.web.base_url is not None:
        return settings
    instance = InstanceScope("runtime")
    async with db.read(instance) as tx:
        stored = await base_url(tx, instance)
    web = settings.web.model_copy(update={"base_url": stored or None})
    return settings.model_copy(update={"web": web})


async def is_new(settings: Settings) -> bool:
    """Whether nothing was ever made here: no file with a secret, and no database with a schema. Where one of the two
    is left, the other was lost, and making a new one would bury that."""
    if secret_path(settings).exists():
        return False
    path = sqlite_path(normalise_url(settings.database_url))
    if path is not None:
        return not path.exists()
    db = Database(settings.database_url, settings.database)
    try:
        with translated_errors():
            async with db.reader.connect() as connection:
                return await current_revision(connection) is None
    finally:
        await db.close()


def make_data_dir(settings: Settings) -> None:
    """The data directory (0700) and the secret in it (0600); what is there stays."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.secret_key is None and not secret_path(settings).exists():
            create_secret(secret_path(settings))
    except OSError as error:
        raise Unavailable(
            f"{settings.data_dir} cannot be written: {error.strerror}; choose another with --data-dir"
        ) from error


def node_file(settings: Settings) -> Path:
    return settings.data_dir / "node.id"


def node_id(settings: Settings) -> str:
    """The name of this machine's installation directory, for claims: stable across restarts."""
    path = node_file(settings)
    if not path.exists():
        with suppress(FileExistsError):
            _name_node(path, os.link)  # atomic, and the first process wins
    return path.read_text().strip()


def rename_node(settings: Settings) -> None:
    """What was claimed under the name before is another machine's from here on."""
    _name_node(node_file(settings), os.replace)


def _name_node(path: Path, put: Callable[[Path, Path], None]) -> None:
    draft = path.with_name(f"node.id.{os.getpid()}")
    try:
        draft.write_text(uuid.uuid4().hex + "\n")
        put(draft, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise Unavailable(f"{path.parent} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def require_installation(settings: Settings) -> Keyring:
    """Raise Unavailable where `init` was never run: SQLite would make an empty file where there is none, and a
    wrong path must not look like a new start."""
    configured = settings.secret_key.get_secret_value() if settings.secret_key else None
    keyring = load_keyring(secret_path(settings), configured)
    path = sqlite_path(normalise_url(settings.database_url))
    if path is not None and not path.exists():
        raise Unavailable(f"{path}: there is no database; run `mailengine init` first")
    return keyring
