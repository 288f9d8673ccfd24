"""The DNS of a sending domain: which records to publish, and what of them the world can see.

Asking is network work and belongs outside every transaction. What cannot be asked is a verdict (`unknown`),
never an exception: a resolver that is down says nothing about a domain.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from mailengine.core.config import DnsSettings
from mailengine.domain.senders.spf import judge_spf
from mailengine.domain.senders.tag_records import dmarc_records, judge_dkim, judge_dmarc
from mailengine.domain.senders.verdicts import Checks, Status, Verdict, unknown
from mailengine.models import DkimKey, SendingDomain

_STRING_BYTES = 255  # RFC 1035, section 3.3: longest character-string; a TXT record may hold several


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A TXT record to publish."""

    purpose: str
    name: str
    value: str
    note: str = ""

    @property
    def zone_line(self) -> str:
        """As a line of a zone file (RFC 1035, section 5.1), split where it is too long for one string."""
        parts = [self.value[at : at + _STRING_BYTES] for at in range(0, len(self.value), _STRING_BYTES)]
        quoted = " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
        return f"{self.name}. 3600 IN TXT {f'( {quoted} )' if len(parts) > 1 else quoted}"


def records(
    domain: SendingDomain, keys: Sequence[DkimKey], *, relay_hosts: Sequence[str] = ()
) -> list[DnsRecord]:
    """What to publish so that receivers can tell this domain's mail from forged mail."""
    spf = DnsRecord(
        "SPF",
        domain.domain,
        f"v=spf1 {' '.join(_spf_terms(relay_hosts))} ~all",
        "one SPF record a domain: add these words to one that is there; "
        "a mail provider names its own include:",
    )
    dkim = [
        DnsRecord("DKIM", dkim_name(domain, key), key.public_record, "sign what this installation sends")
        for key in keys
    ]
    dmarc = DnsRecord(
        "DMARC",
        f"_dmarc.{domain.domain}",
        "v=DMARC1; p=none",
        "leave a policy that is there as it is; p=none observes, quarantine and reject protect",
    )
    return [spf, *dkim, dmarc]


def dkim_name(domain: SendingDomain, key: DkimKey) -> str:
    return f"{key.selector}._domainkey.{domain.domain}"


def _spf_terms(relay_hosts: Sequence[str]) -> list[str]:
    """Words for the relays that the world can see; where there is none, the usual guess."""
    terms = []
    for host in dict.fromkeys(relay_hosts):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if "." in host:
                terms.append(f"a:{host}")
        else:
            if address.is_global:
                terms.append(f"ip{address.version}:{address}")
    return terms or ["a", "mx"]


class CouldNotAsk(Exception):
    """No server gave an answer; says nothing about the name."""


class Lookup:
    """Records by name, from the configured servers or the system's; every question raises CouldNotAsk."""

    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def txt(self, name: str) -> list[str]:
        """The TXT records of a name, none when it has none."""
        return [b"".join(row.strings).decode("utf-8", "replace") for row in await self._rows(name, "TXT")]

    async def mx(self, name: str) -> list[str]:
        """The mail hosts of a domain, the preferred one first; none where it takes no mail (RFC 7505)."""
        rows = sorted(await self._rows(name, "MX"), key=lambda row: row.preference)
        return [host for row in rows if (host := row.exchange.to_text(omit_final_dot=True)) not in ("", ".")]

    async def a(self, name: str) -> list[str]:
        return [str(row.address) for row in await self._rows(name, "A")]

    async def addresses(self, name: str) -> list[str]:
        """Of both versions."""
        return [*await self.a(name), *(str(row.address) for row in await self._rows(name, "AAAA"))]

    async def ptr(self, address: str) -> list[str]:
        """The names of an address, in small letters."""
        rows = await self._rows(dns.reversename.from_address(address).to_text(), "PTR")
        return [row.target.to_text(omit_final_dot=True).lower() for row in rows]

    async def _rows(self, name: str, kind: str) -> list[Any]:
        if not name:
            return []
        try:
            answer = await self._opened().resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.resolver.NoNameservers as error:
            raise CouldNotAsk(f"could not ask: the name servers fail for {name}") from error
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise CouldNotAsk(f"could not ask: no name server answers for {name}") from error
        return list(answer)

    def _opened(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = open_resolver(self._settings)
        return self._resolver


def open_resolver(settings: DnsSettings) -> dns.asyncresolver.Resolver:
    """A resolver that asks the configured servers, or the system's; raises DNSException when it has none."""
    resolver = dns.asyncresolver.Resolver(configure=not settings.nameservers)
    if settings.nameservers:
        resolver.nameservers = list(settings.nameservers)
        resolver.port = settings.port
    resolver.lifetime = settings.timeout_seconds
    return resolver


async def check(domain: SendingDomain, keys: Sequence[DkimKey], lookup: Lookup) -> Checks:
    """Ask for everything that `records` lists. Never in a transaction."""
    by_key = {key.selector: await _check_key(domain, key, lookup) for key in keys}
    return Checks(
        spf=await _check_spf(domain.domain, lookup),
        dkim=_worst([by_key[key.selector] for key in signing(keys)]),
        dmarc=await _check_dmarc(domain.domain, lookup),
        published=tuple(name for name, verdict in by_key.items() if verdict.status is Status.PASS),
    )


def signing(keys: Sequence[DkimKey]) -> list[DkimKey]:
    """The keys that sign: those that the DNS has shown, and before that the first one alone.

    So a key that was added signs nothing until receivers can check it, and two published ones (RSA and Ed25519,
    RFC 8463, or the old and the new one) sign side by side.
    """
    return [key for key in keys if key.published_at is not None] or list(keys[:1])


async def _check_spf(domain: str, lookup: Lookup) -> Verdict:
    try:
        return await judge_spf(domain, await lookup.txt(domain), lookup.txt)
    except CouldNotAsk as error:
        return unknown(str(error))


async def _check_key(domain: SendingDomain, key: DkimKey, lookup: Lookup) -> Verdict:
    name = dkim_name(domain, key)
    try:
        return judge_dkim(name, await lookup.txt(name), key.public_record)
    except CouldNotAsk as error:
        return unknown(str(error))


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Of all keys that sign: a message carries a signature of each."""
    severity = (Status.FAIL, Status.UNKNOWN, Status.PASS)
    none = Verdict(Status.FAIL, "this domain has no DKIM key; remove it and add it again")
    return min(verdicts, key=lambda verdict: severity.index(verdict.status), default=none)


async def _check_dmarc(domain: str, lookup: Lookup) -> Verdict:
    """A policy of the domain, else of the nearest parent that has one (RFC 7489, section 6.6.3)."""
    try:
        own = await lookup.txt(f"_dmarc.{domain}")
        at, texts = domain, own
        while not dmarc_records(texts) and at.count(".") > 1:
            at = at.split(".", 1)[1]
            texts = await lookup.txt(f"_dmarc.{at}")
    except CouldNotAsk as error:
        return unknown(str(error))
    if not dmarc_records(texts):
        at, texts = domain, own
    return judge_dmarc(domain, at, texts)
