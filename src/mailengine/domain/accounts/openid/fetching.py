"""JSON from an identity provider: bounded in size and time, never redirected, from public addresses only.

The address that was checked is the one that is connected to, so that a name which resolves anew in between leads
nowhere else. `private` lifts that, and allows http, for a provider in one's own network.
"""

import asyncio
import json
import socket
from typing import Any

import httpx

from mailengine.core.errors import Unavailable
from mailengine.core.network import is_public

MAX_BYTES = 256 * 1024  # key sets and discovery documents have a few kilobytes
TIMEOUT_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(TIMEOUT_SECONDS)


class Fetcher:
    """One for an installation; connections are not kept, because questions are rare."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def get(self, url: str, *, bearer: str = "") -> dict[str, Any]:
        return await self._ask(url, None, None, {"Authorization": f"Bearer {bearer}"} if bearer else {})

    async def post(
        self, url: str, form: dict[str, str], auth: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        return await self._ask(url, form, auth, {})

    async def _ask(
        self,
        url: str,
        form: dict[str, str] | None,
        auth: tuple[str, str] | None,
        headers: dict[str, str],
    ) -> dict[str, Any]:
        """Raises Unavailable for whatever goes wrong; the reason is for the log, not for the visitor."""
        target = httpx.URL(url)
        if target.scheme != "https" and not (self._private and target.scheme == "http"):
            raise Unavailable(f"the identity provider's address {target.host} is not https")
        try:
            address = await self._resolve(target)
            request = httpx.Request(
                "GET" if form is None else "POST",
                target.copy_with(host=address),
                data=form,
                headers={"Host": target.netloc.decode("ascii"), "Accept": "application/json", **headers},
                extensions={"sni_hostname": target.host, "timeout": _TIMEOUT.as_dict()},
            )
            return await _send(request, auth)
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise Unavailable(
                f"the identity provider {target.host} does not answer as it should: {problem}"
            ) from error

    async def _resolve(self, target: httpx.URL) -> str:
        port = target.port or (443 if target.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        usable = [text for text in addresses if self._private or is_public(text)]
        if not usable:
            raise ValueError("it has only private addresses; see private_hosts in docs/configuration.md")
        return usable[0]


async def _send(request: httpx.Request, auth: tuple[str, str] | None) -> dict[str, Any]:
    basic = httpx.BasicAuth(*auth) if auth else None
    async with asyncio.timeout(TIMEOUT_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        answer = await client.send(request, auth=basic, stream=True, follow_redirects=False)
        try:
            return await _read(answer)
        finally:
            await answer.aclose()


async def _read(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != 200:
        raise ValueError(f"status {answer.status_code}")
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise ValueError("its answer is too large")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("its answer is no JSON object")
    return document
