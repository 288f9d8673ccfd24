"""From a relay, as it is stored, to the server that messages are handed to."""

from typing import cast

from mailengine.core.config import Settings
from mailengine.core.secrets import Keyring
from mailengine.domain.delivery.smtp import Endpoint, TlsMode
from mailengine.domain.senders.relays import PASSWORD_PURPOSE
from mailengine.models import Relay


def endpoint_of(relay: Relay, keyring: Keyring, settings: Settings) -> Endpoint:
    """How to reach the relay, password opened; raises Unavailable when the secret that sealed it is gone."""
    password = (
        keyring.unseal(relay.password_sealed, PASSWORD_PURPOSE).decode() if relay.password_sealed else None
    )
    return Endpoint(
        host=relay.host,
        port=relay.port,
        tls=cast(TlsMode, str(relay.tls)),
        username=relay.username or None,
        password=password,
        command_timeout_seconds=settings.worker.command_timeout_seconds,
        data_timeout_seconds=settings.worker.data_timeout_seconds,
    )
