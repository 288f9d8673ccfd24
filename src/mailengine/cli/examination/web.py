"""Where the links of messages lead: base URL, certificate, proxy."""

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from mailengine.cli.examination.finding import Finding
from mailengine.core.config import Settings

_SECONDS = 5.0
_CERTIFICATE_DAYS = 14
_WHY = "links, pixels and unsubscribing in every message lead there"


async def examine(settings: Settings, *, offline: bool) -> list[Finding]:
    findings = [_base_url(settings)]
    if not offline and settings.web.base_url is not None:
        findings.append(await _answers(settings.base_url))
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
    status, body = await _get(f"{base_url}/livez")
    if status == 200 and body == "ok":
        return Finding("proxy", "ok", f"{base_url} leads to the daemon")
    words = f"{base_url}/livez: {body if status is None else f'answers {status}'}"
    todo = "start the daemon, then check the proxy and the DNS: docs/reverse-proxy.md"
    return Finding("proxy", "error", words, todo, _WHY)


async def _private(base_url: str) -> Finding:
    """What is for the operator must not be for everybody."""
    status, _ = await _get(f"{base_url}/metrics")
    if status == 200:
        todo = "close the path in the proxy: docs/reverse-proxy.md"
        return Finding("private_paths", "error", f"{base_url}/metrics is open to everybody", todo)
    return Finding("private_paths", "ok", "metrics are not public")


async def _get(url: str) -> tuple[int | None, str]:
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            answer = await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return None, str(error) or type(error).__name__
    return answer.status_code, answer.text[:1000]


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
