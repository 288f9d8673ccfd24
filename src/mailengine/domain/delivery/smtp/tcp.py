"""A connected socket for an endpoint: names resolved, each address tried, within one time limit."""

import asyncio
import os
import socket
from typing import Any

from mailengine.domain.delivery.smtp.endpoint import Endpoint
from mailengine.domain.delivery.smtp.errors import ConnectFailed


async def connect_socket(endpoint: Endpoint) -> socket.socket:
    """Connect to the first of the host's addresses that answers. Raises ConnectFailed (dns, connect)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + endpoint.connect_timeout_seconds
    addresses = await _resolve(endpoint)
    problem = "it has no address"
    for tried, (family, address) in enumerate(addresses):
        # A dead address must leave time for the next one.
        share_seconds = (deadline - loop.time()) / (len(addresses) - tried)
        try:
            async with asyncio.timeout(share_seconds):
                return await _connect(family, address, endpoint.source_address)
        except TimeoutError:
            problem = f"no answer in {share_seconds:.1f} s"
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else str(error)
    raise ConnectFailed(endpoint.where, "connect", None, f"cannot connect: {problem}")


async def _resolve(endpoint: Endpoint) -> list[tuple[int, Any]]:
    if endpoint.addresses is not None:
        return [_numeric(address, endpoint.port) for address in endpoint.addresses]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(endpoint.connect_timeout_seconds):
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ConnectFailed(endpoint.where, "dns", None, "its name is not resolved in time") from None
    except (OSError, UnicodeError, OverflowError) as error:
        detail = f"its name cannot be resolved: {getattr(error, 'strerror', None) or error}"
        raise ConnectFailed(endpoint.where, "dns", None, detail) from None
    return [(family, address) for family, _type, _protocol, _name, address in found]


def _numeric(address: str, port: int) -> tuple[int, Any]:
    if ":" in address:
        return socket.AF_INET6, (address, port, 0, 0)
    return socket.AF_INET, (address, port)


async def _connect(family: int, address: Any, source_address: str | None) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        if source_address is not None:
            connecting.bind((source_address, 0))
        # Content and end of data go in one write already; waiting for more (Nagle) only costs time.
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting
