"""Where the links of messages lead: base URL, certificate, proxy, and what the proxy passes on."""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from mailengine.cli.examination.finding import Finding
from mailengine.core.config import Settings
from mailengine.core.serving import serving_here
from mailengine.runtime import Runtime
from mailengine.web import seen

_SECONDS = 5.0
_CERTIFICATE_DAYS = 14
_WHY = "links, pixels and unsubscribing in every message lead there"
_MADE_UP = "192.0.2.77"  # RFC 5737: nobody's address


async def examine(rt: Runtime, *, offline: bool) -> list[Finding]:
    settings = rt.settings
    findings = [_base_url(settings)]
    if not offline and settings.web.base_url is not None:
        findings.append(await _answers(settings.base_url))
        findings += await _headers(rt)
        if settings.base_url.startswith("https://"):
            findings.append(await _certificate(settings.base_url))
        findings.append(await _private(settings.base_url))
    return findings


def _base_url(settings: Settings) -> Finding:
    url = urlsplit(settings.base_url)
    if settings.web.base_url is None or _is_local(url.hostname or ""):
        words = f"{settings.base_url} leads to this machine only"
        todo = "set `web.base_url` to the address that recipients reach: `mailengine config set web.base_url https://…`"
        return Finding("base_url", "warning", words, todo, _WHY)
    if url.scheme != "https":
        words = f"{settings.base_url} is not encrypted"
        return Finding("base_url", "warning", words, "put it behind TLS: docs/reverse-proxy.md", _WHY)
    return Finding("base_url", "ok", settings.base_url)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _answers(base_url: str) -> Finding:
    """From here through the proxy to the daemon and back."""
    found = await _get(f"{base_url}/livez")
    if found.status == 200 and found.text == "ok":
        return Finding("proxy", "ok", f"{base_url} leads to the daemon")
    words = f"{base_url}/livez: {found.text if found.status is None else f'answers {found.status}'}"
    todo = "start the daemon, then check the proxy and the DNS: docs/reverse-proxy.md"
    return Finding("proxy", "error", words, todo, _WHY)


async def _headers(rt: Runtime) -> list[Finding]:
    """Asked with a made-up X-Forwarded-For, as by one who wants to be taken for another. Nothing is said where no
    proxy stands before the daemon, or none leads to it."""
    url, serving = urlsplit(rt.settings.base_url), serving_here(rt.settings.data_dir)
    if serving is not None and urlsplit(serving.url).netloc == url.netloc:
        return []
    asked = {seen.ASKING: seen.proof(rt.keyring, rt.clock.now()), "X-Forwarded-For": _MADE_UP}
    told = (await _get(f"{rt.settings.base_url}/livez", asked)).headers.get(seen.TOLD)
    if told is None:
        return []
    faults = _faults(msgspec.json.decode(told, type=seen.Seen), url.scheme, url.hostname)
    if not faults:
        return [Finding("proxy_headers", "ok", "the proxy passes on host, scheme and who asks")]
    why = "consent is recorded with visitors' addresses, and guesses of passwords are counted by them"
    todo = "set Host, X-Forwarded-For and X-Forwarded-Proto in the proxy: docs/reverse-proxy.md"
    return [Finding("proxy_headers", "error", words, todo, why) for words in faults]


def _faults(found: seen.Seen, scheme: str, host: str | None) -> list[str]:
    faults = []
    if urlsplit(f"//{found.host}").hostname != host:
        faults.append(f"the daemon is asked for the host {found.host}, not {host}: Host is not passed on")
    if found.scheme != scheme:
        faults.append(
            f"the daemon is asked by {found.scheme}, not {scheme}: X-Forwarded-Proto does not say it"
        )
    if found.forwarded_for is None:
        faults.append(f"every visitor is taken for {found.client}: X-Forwarded-For is not passed on")
    elif found.forwarded_for == found.client == _MADE_UP:
        faults.append("X-Forwarded-For of visitors is passed on as they made it up: anybody can be anybody")
    return faults


async def _private(base_url: str) -> Finding:
    """What is for the operator must not be for everybody."""
    if (await _get(f"{base_url}/metrics")).status == 200:
        todo = "close the path in the proxy: docs/reverse-proxy.md"
        return Finding("private_paths", "error", f"{base_url}/metrics is open to everybody", todo)
    return Finding("private_paths", "ok", "metrics are not public")


class _Answer(NamedTuple):
    """`status` is None where none came; then `text` says why."""

    status: int | None
    text: str
    headers: Mapping[str, str]


async def _get(url: str, headers: Mapping[str, str] | None = None) -> _Answer:
    try:
        async with httpx.AsyncClient(
            timeout=_SECONDS, trust_env=False, verify=ssl.create_default_context()
        ) as client:
            answer = await client.get(url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _Answer(None, str(error) or type(error).__name__, {})
    return _Answer(answer.status_code, answer.text[:1000], answer.headers)


async def _certificate(base_url: str) -> Finding:
    url = urlsplit(base_url)
    host, port = url.hostname or "", url.port or 443
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except (OSError, ssl.SSLError, TimeoutError) as error:
        words = f"{host}:{port}: {str(error) or 'no answer'}"
        return Finding(
            "certificate", "error", words, "renew the certificate, or see docs/reverse-proxy.md", _WHY
        )
    certificate = writer.get_extra_info("peercert")
    writer.close()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    words = f"valid until {ends:%Y-%m-%d}"
    if (ends - datetime.now(UTC)).days < _CERTIFICATE_DAYS:
        return Finding("certificate", "warning", words, "see why it was not renewed", _WHY)
    return Finding("certificate", "ok", words)
