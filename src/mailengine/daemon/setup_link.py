"""The link with which the first user is made. Whoever holds it owns the installation, so no log that is kept has it:
a terminal shows it, and without one it is in a file that only its owner can read, and the log says where.
"""

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.core.serving import serving_here
from mailengine.daemon.listening import url_of
from mailengine.domain.accounts.setup import only_setup_token, setup_token
from mailengine.domain.accounts.tokens import LIFETIMES
from mailengine.models import TokenKind
from mailengine.runtime import Runtime

_FILE = "setup-link"

log = get_logger("daemon")


@dataclass(frozen=True, slots=True)
class SetupLink:
    """`local`: its host is how this machine calls the daemon, because no base URL is set."""

    url: str
    expires_at: datetime
    local: bool


async def offer_setup(rt: Runtime) -> None:
    """While nobody can log in: a link, for a day. Raises Unavailable when it cannot be left anywhere."""
    async with rt.db.write(InstanceScope("role:web")) as tx:
        token = await setup_token(tx, InstanceScope("role:web"), now=rt.clock.now())
    path = rt.settings.data_dir / _FILE
    path.unlink(missing_ok=True)
    if token is None:
        return
    link = _link(rt.settings.web.base_url or url_of(rt.settings), token)
    if sys.stderr.isatty():
        sys.stderr.write(f"\nNobody can log in yet. Open this link to begin, within a day:\n\n    {link}\n\n")
        log.warning("nobody can log in yet: the link to begin is on the terminal of this daemon")
    else:
        _leave(path, link)
        log.warning(
            "nobody can log in yet: open the link in this file, or that of `mailengine setup-link`, within a day",
            file=str(path),
        )


async def fresh_link(rt: Runtime) -> SetupLink:
    """Another link, and the only one from now on. Raises Conflict once somebody can log in."""
    now, base_url, instance = rt.clock.now(), rt.settings.web.base_url, InstanceScope("cli")
    async with rt.db.write(instance) as tx:
        token = await only_setup_token(tx, instance, now=now)
    (rt.settings.data_dir / _FILE).unlink(missing_ok=True)  # what it leads to is gone
    serving = serving_here(rt.settings.data_dir)
    here = serving.url if serving is not None else url_of(rt.settings)
    return SetupLink(_link(base_url or here, token), now + LIFETIMES[TokenKind.SETUP], local=base_url is None)


def _link(root: str, token: str) -> str:
    return f"{root}/setup/start/{token}"


def _leave(path: Path, link: str) -> None:
    """In a file that was not there: nobody has it open, and it is no link of somebody's to elsewhere."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{link}\n")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; check permissions") from error
