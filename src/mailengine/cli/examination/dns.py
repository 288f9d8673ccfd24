"""What the world sees of each sending domain: SPF, DKIM, DMARC, and where bounces can go."""

from collections.abc import AsyncIterator

from mailengine.cli.examination.finding import Finding, Level
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts.tenants import list_tenants, scope_in
from mailengine.domain.senders.dns import CouldNotAsk, Lookup, check
from mailengine.domain.senders.domains import DomainKeys, get_domain, list_domains
from mailengine.domain.senders.tag_records import tags
from mailengine.domain.senders.verdicts import Status, Verdict
from mailengine.runtime import Runtime

_LEVELS: dict[Status, Level] = {Status.PASS: "ok", Status.FAIL: "error", Status.UNKNOWN: "warning"}
_WHY = {
    "spf": "receivers refuse or sort out mail from servers that the domain does not name",
    "dkim": "without a signature that verifies large receivers refuse bulk mail",
    "dmarc": "large receivers want a policy from whoever sends in bulk",
}
_INSTANCE = InstanceScope("cli")


async def examine(rt: Runtime) -> AsyncIterator[Finding]:
    found: list[tuple[str, DomainKeys]] = []
    async with rt.db.read(_INSTANCE) as tx:
        for tenant in (await list_tenants(tx, _INSTANCE, request=PageRequest(limit=MAX_PAGE))).items:
            scope = scope_in(tenant, _INSTANCE)
            for domain in (await list_domains(tx, scope, request=PageRequest(limit=MAX_PAGE))).items:
                found.append((tenant.slug, await get_domain(tx, scope, domain=domain.domain)))
    lookup = Lookup(rt.settings.dns)
    for slug, keys in found:
        async for finding in _domain(slug, keys, lookup):
            yield finding


async def _domain(slug: str, keys: DomainKeys, lookup: Lookup) -> AsyncIterator[Finding]:
    name = keys.domain.domain
    checks = await check(keys.domain, keys.keys, lookup)
    todo = f"`mailengine --tenant {slug} domain show {name}` shows the records to publish"
    for kind, verdict in (("spf", checks.spf), ("dkim", checks.dkim), ("dmarc", checks.dmarc)):
        level, words = _LEVELS[verdict.status], f"{name}: {verdict.words}"
        yield Finding(kind, level, words) if level == "ok" else Finding(kind, level, words, todo, _WHY[kind])
    yield _alignment(name, checks.dkim, checks.dmarc)
    yield await _mx(name, lookup)


def _alignment(name: str, dkim: Verdict, dmarc: Verdict) -> Finding:
    """DMARC wants a passing check of the From domain itself (RFC 7489, section 3.1); our signature is its."""
    why = "DMARC passes only with a signature of the domain in From"
    if dkim.status is not Status.PASS:
        words = f"{name}: not aligned as long as the DKIM key is not published"
        return Finding("alignment", "warning", words, "publish the DKIM key", why)
    policy = tags(dmarc.found[0]) if dmarc.found else None
    if policy is not None and policy.get("adkim", "r").lower() == "s":
        words = f"{name}: aligned for addresses at {name}, not for those of its subdomains (adkim=s)"
        return Finding("alignment", "ok", words)
    return Finding("alignment", "ok", f"{name}: signed in its own name")


async def _mx(name: str, lookup: Lookup) -> Finding:
    why = "a domain that takes no mail gets no replies and no bounces, and looks like a spammer's"
    try:
        hosts = await lookup.mx(name)
    except CouldNotAsk as error:
        return Finding("mx", "warning", f"{name}: {error}", why=why)
    if not hosts:
        return Finding("mx", "warning", f"{name}: no host takes its mail", "publish an MX record", why)
    return Finding("mx", "ok", f"{name}: {', '.join(hosts)}")
