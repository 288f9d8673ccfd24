"""Verifying a sending domain: read its keys, ask the DNS, keep what it said. The asking holds no transaction."""

from datetime import datetime

from mailengine.core.config import DnsSettings
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.senders import dns, domains, relays
from mailengine.domain.senders.dns import DnsRecord
from mailengine.domain.senders.domains import DomainKeys
from mailengine.models import SendingDomain


async def verify(
    db: Database, scope: Scope, *, domain: str, settings: DnsSettings, now: datetime
) -> DomainKeys:
    """The domain with its new verdicts; raises NotFound."""
    scope.require(Grant.MANAGE)
    async with db.read(scope) as tx:
        found = await domains.get_domain(tx, scope, domain=domain)
    checks = await dns.check(found.domain, found.keys, dns.Lookup(settings))
    async with db.write(scope) as write_tx:
        await domains.store_checks(write_tx, scope, domain=found.domain.domain, checks=checks, now=now)
        return await domains.get_domain(write_tx, scope, domain=found.domain.domain)


async def records_of(tx: ReadTx, scope: Scope, found: DomainKeys) -> list[DnsRecord]:
    """What to publish for the domain; the SPF record names the tenant's relays."""
    servers = await relays.list_relays(tx, scope, request=PageRequest(MAX_PAGE))
    return dns.records(found.domain, found.keys, relay_hosts=[relay.host for relay in servers.items])


def missing(domain: SendingDomain) -> list[str]:
    """The checks that do not pass yet, as people write them: SPF, DKIM, DMARC."""
    return [check.upper() for check, verdict in domain.checks.items() if verdict["status"] != "pass"]
