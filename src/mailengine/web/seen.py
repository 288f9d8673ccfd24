"""How a request looks once it has come through the proxy: told to `mailengine doctor`, and to nobody else.

Doctor shows that it has the installation's secret by a MAC over the time, so that a header which somebody has copied
is worth nothing after a minute.
"""

import hmac
from datetime import datetime

import msgspec

from mailengine.core.secrets import Keyring

ASKING, TOLD = "x-mailengine-doctor", "x-mailengine-seen"
_SECONDS = 60


class Seen(msgspec.Struct, frozen=True):
    """`client` is who the daemon takes the visitor for; `forwarded_for` is the header as it came in."""

    host: str
    scheme: str
    client: str
    forwarded_for: str | None


def proof(keyring: Keyring, now: datetime) -> str:
    """What doctor sends."""
    return _signed(keyring, int(now.timestamp()))


def is_doctor(keyring: Keyring, given: str, now: datetime) -> bool:
    """Whether somebody who has the secret made it, within the last minute."""
    second = given.partition(".")[0]
    if not second.isascii() or not second.isdigit() or len(second) > len(str(2**53)):
        return False
    fresh = abs(now.timestamp() - int(second)) <= _SECONDS
    return fresh and hmac.compare_digest(_signed(keyring, int(second)).encode(), given.encode())


def _signed(keyring: Keyring, second: int) -> str:
    return f"{second}.{hmac.digest(keyring.derive('doctor'), str(second).encode(), 'sha256').hex()}"
