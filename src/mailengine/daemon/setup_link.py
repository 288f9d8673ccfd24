"""The link with which the first user is made. Whoever holds it owns the installation, so no log that is kept has it:
a terminal shows it, and without one it is in a file that only its owner can read, and the log says where.
"""

import os
import sys
from pathlib import Path

from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.daemon.listening import url_of
from mailengine.domain.accounts.setup import setup_token
from mailengine.runtime import Runtime

log = get_logger("daemon")


async def offer_setup(rt: Runtime) -> None:
    """While nobody can log in: a link, for a day. Raises Unavailable when it cannot be left anywhere."""
    async with rt.db.write(InstanceScope("role:web")) as tx:
        token = await setup_token(tx, InstanceScope("role:web"), now=rt.clock.now())
    path = rt.settings.data_dir / "setup-link"
    path.unlink(missing_ok=True)
    if token is None:
        return
    link = f"{rt.settings.web.base_url or url_of(rt.settings)}/setup/start/{token}"
    if sys.stderr.isatty():
        sys.stderr.write(f"\nNobody can log in yet. Open this link to begin, within a day:\n\n    {link}\n\n")
        log.warning("nobody can log in yet: the link to begin is on the terminal of this daemon")
    else:
        _leave(path, link)
        log.warning(
            "nobody can log in yet: open the link in this file to begin, within a day", file=str(path)
        )


def _leave(path: Path, link: str) -> None:
    """In a file that was not there: nobody has it open, and it is no link of somebody's to elsewhere."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{link}\n")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; check permissions") from error
