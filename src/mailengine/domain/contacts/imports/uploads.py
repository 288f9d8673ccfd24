"""Files that were uploaded to be imported: kept apart by tenant, named by chance, gone after a day.

Invariant: no name that a client sent becomes part of a path.
"""

import os
import re
import secrets
from collections.abc import AsyncIterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailengine.core.errors import InvalidInput, NotFound, Refused
from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts.imports.request import FOLDER

MAX_BYTES = 512 << 20  # a million rows have some 100 MB; more would only fill the disk
MAX_WAITING = 20  # files of a tenant that nobody imported yet, for the same reason
KEPT = timedelta(days=1)
_TOKEN = re.compile(r"[0-9a-f]{32}")


async def receive(
    data_dir: Path, scope: Scope, content: AsyncIterable[bytes], *, now: datetime
) -> tuple[str, int]:
    """Write what comes to the disk; returns the upload's name and size. Raises Refused above the limits."""
    scope.require(Grant.EDIT)
    folder = _folder(data_dir, scope)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(list(folder.iterdir())) >= MAX_WAITING:
        raise Refused(f"{MAX_WAITING} uploaded files wait to be imported; they go after a day")
    token = secrets.token_hex(16)
    target, size = folder / token, 0
    try:
        target.touch(mode=0o600)
        with target.open("wb") as file:
            async for chunk in content:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise Refused(
                        f"a file can have {MAX_BYTES >> 20} MiB; split it, or import it by the command line"
                    )
                file.write(chunk)
        if not size:
            raise InvalidInput("the file is empty")
        os.utime(target, (now.timestamp(), now.timestamp()))
    except BaseException:  # a client that went away in the middle, too
        target.unlink(missing_ok=True)
        raise
    return token, size


def find(data_dir: Path, scope: Scope, token: str) -> Path:
    """Raises NotFound, also for another tenant's."""
    path = _folder(data_dir, scope) / token
    if not _TOKEN.fullmatch(token) or not path.is_file():
        raise NotFound("there is no such uploaded file; it may be older than a day")
    return path


def stale(data_dir: Path, now: datetime) -> list[Path]:
    """Uploads that are to go, of every tenant. One that an import stopped at goes with them."""
    folder = data_dir / FOLDER / "uploads"
    files = [path for path in folder.glob("*/*") if path.is_file()]
    return [path for path in files if now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > KEPT]


def _folder(data_dir: Path, scope: Scope) -> Path:
    return data_dir / FOLDER / "uploads" / str(scope.tenant_id)
