"""From a relay, as it is stored, to the server that messages are handed to."""

from dataclasses import dataclass
from typing import Literal, cast

from mailengine.core.config import Settings
from mailengine.core.errors import InvalidInput
from mailengine.core.secrets import Keyring
from mailengine.domain.delivery.smtp import Endpoint, TlsMode
from mailengine.domain.senders.relays import PASSWORD_PURPOSE
from mailengine.models import Relay, RelayKind


@dataclass(frozen=True, slots=True)
class DirectWay:
    """To the recipients' own mail hosts; `port` is 25 but in tests."""

    helo: str | None
    source_address: str | None
    port: int


Way = Endpoint | DirectWay


def way_of(relay: Relay, keyring: Keyring, settings: Settings) -> Way:
    """How the relay's mail leaves; raises Unavailable when the secret that sealed its password is gone."""
    if relay.kind == RelayKind.DIRECT:
        return DirectWay(relay.helo or None, relay.source_address or None, relay.port)
    return endpoint_of(relay, keyring, settings)


def endpoint_of(relay: Relay, keyring: Keyring, settings: Settings) -> Endpoint:
    """How to reach the relay, password opened; raises Unavailable when the secret that sealed it is gone."""
    if relay.kind == RelayKind.DIRECT:
        raise InvalidInput(f"{relay.name} delivers directly and has no server of its own; name an SMTP relay")
    password = (
        keyring.unseal(relay.password_sealed, PASSWORD_PURPOSE).decode() if relay.password_sealed else None
    )
    return Endpoint(
        host=relay.host,
        port=relay.port,
        tls=cast(TlsMode, str(relay.tls)),
        username=relay.username or None,
        password=password,
        auth=cast(Literal["password", "xoauth2"], str(relay.auth)),
        command_timeout_seconds=settings.worker.command_timeout_seconds,
        data_timeout_seconds=settings.worker.data_timeout_seconds,
    )
