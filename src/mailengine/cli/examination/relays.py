"""The ways that mail takes: relays that let us in, and what direct delivery needs (port 25, names, block lists)."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace

from mailengine.cli.examination.finding import Finding
from mailengine.core.errors import MailengineError
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.accounts.tenants import list_tenants, scope_in
from mailengine.domain.delivery.smtp import probe
from mailengine.domain.delivery.transport import endpoint_of
from mailengine.domain.senders.dns import CouldNotAsk, Lookup
from mailengine.domain.senders.dnsbl import listings
from mailengine.domain.senders.domains import list_domains
from mailengine.domain.senders.relays import list_relays
from mailengine.models import Relay, RelayKind, Tls
from mailengine.runtime import Runtime

_SECONDS = 5.0
_SMTP_PORT = 25
_INSTANCE = InstanceScope("cli")


async def examine(rt: Runtime) -> AsyncIterator[Finding]:
    found: list[tuple[str, Scope, Relay]] = []
    async with rt.db.read(_INSTANCE) as tx:
        for tenant in (await list_tenants(tx, _INSTANCE, request=PageRequest(limit=MAX_PAGE))).items:
            scope = scope_in(tenant, _INSTANCE)
            found += [(tenant.slug, scope, relay) for relay in (await list_relays(tx, scope)).items]
    if not found:
        todo = "add one with `mailengine relay add`"
        yield Finding("relay", "warning", "there is no relay to send by", todo, "nothing can be sent")
    lookup = Lookup(rt.settings.dns)
    for slug, scope, relay in found:
        if relay.kind == RelayKind.DIRECT:
            async for finding in _direct(rt, scope, f"{relay.name} of {slug}", relay, lookup):
                yield finding
        else:
            yield await _relay(rt, slug, relay)
            if relay.trouble_at is not None:
                when = f"{relay.trouble_at:%Y-%m-%d %H:%M} UTC"
                words = f"{relay.name} of {slug} was left alone at {when}: {relay.trouble}"
                todo = "mend what it says; the next message that it takes ends this"
                yield Finding("relay_trouble", "warning", words, todo, "mail that goes this way waits")
        async for finding in _listed(rt, f"{relay.name} of {slug}", relay, lookup):
            yield finding


async def _relay(rt: Runtime, slug: str, relay: Relay) -> Finding:
    name, why = f"{relay.name} of {slug}", "mail that goes this way waits"
    try:
        endpoint = replace(
            endpoint_of(relay, rt.keyring, rt.settings),
            connect_timeout_seconds=_SECONDS,
            command_timeout_seconds=_SECONDS,
        )
        report = await probe(endpoint)
    except MailengineError as error:
        return Finding("relay", "error", f"{name}: {error}", why=why)
    failed = next((step for step in report.steps if not step.ok), None)
    if failed is not None:
        todo = f"check its settings; `mailengine --tenant {slug} relay test {relay.name}` shows each step"
        return Finding("relay", "error", f"{name}: {failed.name}: {failed.words}", todo, why)
    if relay.tls == Tls.NONE and not _is_local(relay.host):
        todo = "let it use starttls or tls"
        why = "whoever is on the way reads every message and password"
        return Finding("relay", "warning", f"{name}: {endpoint.where} is used without TLS", todo, why)
    protection = f" ({report.tls_version})" if report.tls_version else ""
    return Finding("relay", "ok", f"{name}: {endpoint.where} answers and lets us in{protection}")


async def _direct(
    rt: Runtime, scope: Scope, name: str, relay: Relay, lookup: Lookup
) -> AsyncIterator[Finding]:
    yield await _port_25(rt, scope, name, relay, lookup)
    yield await _reverse(name, relay, lookup)


async def _port_25(rt: Runtime, scope: Scope, name: str, relay: Relay, lookup: Lookup) -> Finding:
    """Asked of the mail host of an own domain: nobody else is bothered."""
    why = "many providers of servers close it, and then no recipient's server can be reached"
    async with rt.db.read(scope) as tx:
        domains = [domain.domain for domain in (await list_domains(tx, scope)).items]
    for domain in domains:
        try:
            hosts = await lookup.mx(domain)
        except CouldNotAsk:
            continue
        for host in hosts:
            source = (relay.source_address, 0) if relay.source_address else None
            try:
                async with asyncio.timeout(_SECONDS):
                    _, writer = await asyncio.open_connection(host, _SMTP_PORT, local_addr=source)
            except (OSError, TimeoutError) as error:
                words = f"{name}: {host}:{_SMTP_PORT} cannot be reached: {str(error) or 'no answer'}"
                return Finding("port_25", "error", words, "ask your provider to open it, or use a relay", why)
            writer.close()
            return Finding("port_25", "ok", f"{name}: {host}:{_SMTP_PORT} can be reached")
    words = f"{name}: not tried: no sending domain has a mail host"
    return Finding("port_25", "warning", words, "see `mailengine domain list`", why)


async def _reverse(name: str, relay: Relay, lookup: Lookup) -> Finding:
    """The name that we greet with, its address, and that address's name (RFC 5321, section 4.1.4)."""
    why = "large receivers refuse mail from addresses whose name does not lead back"
    todo = "have your provider set the reverse DNS (PTR) of the address to the HELO name"
    try:
        addresses = [relay.source_address] if relay.source_address else await lookup.addresses(relay.helo)
        if not addresses:
            return Finding(
                "ptr", "error", f"{name}: {relay.helo or 'the HELO name'} has no address", todo, why
            )
        for address in addresses:
            names = await lookup.ptr(address)
            if relay.helo.lower().rstrip(".") not in names:
                words = f"{name}: {address} is called {', '.join(names) or 'nothing'}, not {relay.helo}"
                return Finding("ptr", "error", words, todo, why)
    except CouldNotAsk as error:
        return Finding("ptr", "warning", f"{name}: {error}", why=why)
    return Finding("ptr", "ok", f"{name}: {', '.join(addresses)} is called {relay.helo}")


async def _listed(rt: Runtime, name: str, relay: Relay, lookup: Lookup) -> AsyncIterator[Finding]:
    """Block lists answer only resolvers of one's own: with none configured they are not asked."""
    zones = rt.settings.dns.blocklists
    if not rt.settings.dns.nameservers or not zones:
        return
    try:
        addresses = await _sending_addresses(relay, lookup)
        for address in addresses:
            found = await listings(address, zones, lookup)
            if found:
                words = f"{name}: {address} is on {', '.join(found)}"
                todo = "find and end the cause, then ask the list to remove it: docs/runbooks.md"
                yield Finding("blocklist", "error", words, todo, "its users refuse or sort out your mail")
            else:
                yield Finding("blocklist", "ok", f"{name}: {address} is on none of {', '.join(zones)}")
    except CouldNotAsk as error:
        yield Finding("blocklist", "warning", f"{name}: {error}")


async def _sending_addresses(relay: Relay, lookup: Lookup) -> list[str]:
    """Of IPv4, which these lists are about; a relay's own address says little of it, but it is what we know."""
    if relay.source_address:
        found = [relay.source_address]
    else:
        name = relay.helo if relay.kind == RelayKind.DIRECT else relay.host
        found = [name] if _is_address(name) else await lookup.addresses(name)
    return [each for each in found if ipaddress.ip_address(each).version == 4 and not _is_local(each)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    if not _is_address(host):
        return host == "localhost"
    return ipaddress.ip_address(host).is_loopback
