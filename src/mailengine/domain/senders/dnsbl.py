"""DNS block lists (RFC 5782): is an address on one.

An answer in 127.0.0.0/8 is a listing, but for 127.255.255.0/24, by which the large lists say that they do not
answer this resolver: then nothing is known.
"""

import ipaddress
from collections.abc import Sequence

from mailengine.domain.senders.dns import CouldNotAsk, Lookup

_LISTED = ipaddress.IPv4Network("127.0.0.0/8")
_REFUSED = ipaddress.IPv4Network("127.255.255.0/24")


async def listings(address: str, zones: Sequence[str], lookup: Lookup) -> list[str]:
    """The lists that hold an IPv4 address; raises CouldNotAsk when one does not answer."""
    reverse = ".".join(reversed(address.split(".")))  # RFC 5782, section 2.1
    found = []
    for zone in zones:
        answers = [ipaddress.IPv4Address(text) for text in await lookup.a(f"{reverse}.{zone}")]
        if any(answer in _REFUSED for answer in answers):
            raise CouldNotAsk(f"could not ask: {zone} does not answer this resolver; use one of your own")
        if any(answer in _LISTED for answer in answers):
            found.append(zone)
    return found
