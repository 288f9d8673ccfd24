"""The secret, files and who may read them, the disk, the clock, how many files may be open."""

import resource
import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from mailengine.cli.examination.finding import Finding
from mailengine.cli.installation import check_secret
from mailengine.core.config import Settings, config_file
from mailengine.core.errors import MailengineError
from mailengine.db.engine import sqlite_path
from mailengine.runtime import secret_path

_FEW_BYTES = 1 << 30
_TOO_FEW_BYTES = 100 << 20
_FILES_BESIDE = 200  # journals, the database, the log, listening sockets
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_EARLIEST_YEAR = 2025  # this program is not older
_SECONDS = 5


def examine(settings: Settings) -> list[Finding]:
    return [
        _secret(settings),
        _permissions(settings),
        _disk(settings.data_dir),
        _clock(),
        _descriptors(settings),
    ]


def _secret(settings: Settings) -> Finding:
    path = secret_path(settings)
    why = "it opens every stored password and signs every link"
    if settings.secret_key is None and not path.exists():
        todo = "run `mailengine init`; where there was one, restore it from a backup"
        return Finding("secret", "error", f"{path} is missing", todo, why)
    try:
        check_secret(settings, needed=False)
    except (MailengineError, OSError) as error:
        return Finding("secret", "error", str(error), why=why)
    if settings.secret_key is not None:
        return Finding("secret", "ok", "it is given by the settings")
    if path.stat().st_mode & _OTHERS:
        return Finding("secret", "error", f"{path} can be read by others", f"run `chmod 600 {path}`", why)
    return Finding("secret", "ok", f"{path} is readable by its owner only")


def _permissions(settings: Settings) -> Finding:
    """Directory, database and settings file: addresses and passwords are in them."""
    private = [settings.data_dir, sqlite_path(settings.database_url), config_file(settings.data_dir)]
    there = [path for path in private if path is not None and path.exists()]
    others = [path for path in there if path.stat().st_mode & stat.S_IRWXO]
    inside_private = not settings.data_dir.exists() or not settings.data_dir.stat().st_mode & stat.S_IXOTH
    open_ones = [path for path in others if not (inside_private and path.is_relative_to(settings.data_dir))]
    if not open_ones:
        return Finding("permissions", "ok", "other users of this machine cannot read the installation")
    names = " ".join(str(path) for path in open_ones)
    why = "addresses, messages and passwords are in them"
    return Finding(
        "permissions", "warning", f"other users can get at {names}", f"run `chmod o-rwx {names}`", why
    )


def _disk(data_dir: Path) -> Finding:
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return Finding("disk", "error", f"{data_dir}: {error.strerror}", "run `mailengine init`")
    words, why = (
        f"{free / (1 << 30):,.1f} GB free for {data_dir}",
        "sending holds while the database cannot write",
    )
    if free < _TOO_FEW_BYTES:
        return Finding("disk", "error", words, "free some space before the database cannot write", why)
    if free < _FEW_BYTES:
        return Finding("disk", "warning", words, "free some space", why)
    return Finding("disk", "ok", words)


def _clock() -> Finding:
    why = "schedules, leases, signatures and certificates go by it"
    now = datetime.now(UTC)
    if now.year < _EARLIEST_YEAR:
        return Finding("clock", "error", f"it says {now:%Y-%m-%d}", "set it, and let NTP keep it", why)
    if _synchronised() is False:
        return Finding("clock", "warning", "it is not kept by NTP", "run `timedatectl set-ntp true`", why)
    return Finding("clock", "ok", f"it says {now:%Y-%m-%d %H:%M} UTC")


def _synchronised() -> bool | None:
    """What systemd says, None where it is not asked (containers have the clock of their host)."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _descriptors(settings: Settings) -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.worker.connections * 4 + _FILES_BESIDE
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return Finding("open_files", "ok", f"{limit} may be open at a time")
    why = "each connection and each batch under way is an open file"
    words = f"only {limit} may be open at a time, {wanted} may be needed"
    return Finding("open_files", "warning", words, f"raise it: `ulimit -n {max(wanted, 4096)}`", why)
