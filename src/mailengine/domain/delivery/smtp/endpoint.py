"""Where and how to connect, and what the server there can do."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mailengine.core.errors import InvalidInput

# "opportunistic" is for mail between servers that have agreed on nothing (RFC 7435): encrypted where the server
# offers it, by whatever certificate, and in clear otherwise. It never carries a password.
TlsMode = Literal["none", "opportunistic", "starttls", "tls"]

# A control character or a space in these would write a second command or parameter (RFC 5321 4.1.1).
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and how to talk to it. "starttls" and "tls" are never given up silently.

    `addresses` are connected to, in this order, instead of what `host` resolves to; `host` stays the name that
    the certificate must be for.
    `password` is the access token when `auth` is "xoauth2". `ca_file` replaces the system's authorities.
    `allow_plaintext_auth` lets a password go unencrypted to a host that is not on the loopback.
    `pipelining` False ignores the server's offer, for servers that drop what follows the end of data.
    Time-outs follow RFC 5321 4.5.3.2; `data_timeout_seconds` runs from the end of data to its reply.
    """

    host: str
    port: int
    tls: TlsMode = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    helo: str | None = None
    verify: bool = True
    ca_file: str | None = None
    source_address: str | None = None
    connect_timeout_seconds: float = 30.0
    command_timeout_seconds: float = 300.0
    data_timeout_seconds: float = 600.0
    allow_plaintext_auth: bool = False
    pipelining: bool = True
    auth: Literal["password", "xoauth2"] = "password"
    addresses: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.host or any(c.isspace() or ord(c) < 32 for c in self.host):
            raise InvalidInput(f"SMTP host {self.host!r} is not a host name or address")
        if self.helo is not None and (not self.helo or _UNSAFE.search(self.helo)):
            raise InvalidInput(f"HELO name {self.helo!r} must be an ASCII host name without spaces")
        if self.tls == "opportunistic" and self.username is not None:
            raise InvalidInput("opportunistic TLS is no protection for a password; use starttls or tls")
        for address in self.addresses or ():
            _check_address(address)

    @property
    def where(self) -> str:
        """host:port, as messages name the server."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not an IP address to connect to") from None


@dataclass(frozen=True)  # no slots: each message asks, so the answers are kept
class Capabilities:
    """What the server offered after the last EHLO; all False where only HELO worked."""

    extensions: Mapping[str, str]
    auth_methods: tuple[str, ...] = ()
    greeting: str = ""
    tls_version: str | None = None

    @cached_property
    def pipelining(self) -> bool:
        return "pipelining" in self.extensions

    @cached_property
    def eight_bit_mime(self) -> bool:
        return "8bitmime" in self.extensions

    @cached_property
    def smtputf8(self) -> bool:
        return "smtputf8" in self.extensions

    @cached_property
    def takes_size(self) -> bool:
        return "size" in self.extensions

    @cached_property
    def size_limit_bytes(self) -> int | None:
        """The server's fixed limit; None where it named none (SIZE alone or SIZE 0, RFC 1870 section 4)."""
        value = self.extensions.get("size", "").strip()
        return int(value) or None if value.isascii() and value.isdecimal() else None
