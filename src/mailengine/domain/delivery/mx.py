"""Where a domain takes its mail (RFC 5321 5.1): its mail hosts and their addresses, or why there are none.

What the DNS says is a value, never an exception. Whoever owns a domain writes its records, so addresses inside a
private network are refused unless allowed: an MX of 10.0.0.5 would make this machine talk to its neighbours.
"""

import asyncio
import random
import re
from dataclasses import dataclass, replace

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from mailengine.core.clock import Clock
from mailengine.core.config import DnsSettings
from mailengine.core.network import is_public
from mailengine.domain.delivery.answers import Answer, Answers
from mailengine.domain.delivery.provider_groups import group_of_host
from mailengine.domain.senders.dns import open_resolver

_MAX_HOSTS = 10  # a domain with a thousand hosts or addresses must not cost a thousand questions or tries
_MAX_ADDRESSES = 10  # of one host and family
_MAX_DOMAINS = 10_000  # remembered
_MAX_QUESTIONS = 32  # at a time: each has a socket, and a claim may be to a thousand domains
_LEAST_SECONDS = 300.0  # a TTL of 0 would ask for each message
_MOST_SECONDS = 86_400.0
_FAILURE_SECONDS = 30.0  # RFC 2308 7: a server's failure is to be remembered, for at most 5 minutes

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class MailHost:
    name: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Hosts in the order in which to try them; `implicit`: the domain itself, which has no MX."""

    domain: str
    hosts: tuple[MailHost, ...]
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class NoMail:
    """The domain says that it takes no mail (RFC 7505)."""

    domain: str


@dataclass(frozen=True, slots=True)
class NoDomain:
    """There is no domain of this name."""

    domain: str


@dataclass(frozen=True, slots=True)
class NoHost:
    """The domain is there, and no host that could be asked takes its mail."""

    domain: str
    detail: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """The DNS gave no answer, which says nothing about the domain."""

    domain: str
    detail: str


MailRoute = MailHosts | NoMail | NoDomain | NoHost | TryLater


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of one name: `refused` are private ones; `failed` when a question had no answer."""

    usable: tuple[str, ...]
    refused: tuple[str, ...] = ()
    failed: bool = False
    ttl_seconds: float = _LEAST_SECONDS


class MxResolver:
    """Asks and remembers. `chance` spreads the load over hosts of equal preference."""

    def __init__(
        self,
        settings: DnsSettings,
        clock: Clock,
        *,
        chance: random.Random | None = None,
        allow_private: bool = False,
    ) -> None:
        self._settings = settings
        self._chance = chance or random.Random()  # noqa: S311  # spreads load, keeps no secret
        self._allow_private = allow_private
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._room = asyncio.Semaphore(_MAX_QUESTIONS)
        self._answers: Answers[MailRoute] = Answers(clock, self._ask, limit=_MAX_DOMAINS)

    async def lookup(self, domain: str) -> MailRoute:
        """Where mail for `domain` (A-labels) goes, hosts of equal preference in a new order each time."""
        found = await self._answers.get(domain.lower().rstrip("."))
        return self._shuffled(found) if isinstance(found, MailHosts) else found

    async def addresses(self, name: str) -> Addresses:
        """The addresses of a host that may be connected to, both families, IPv4 first."""
        answers = await asyncio.gather(self._question(name, "A"), self._question(name, "AAAA"))
        found = [answer for answer in answers if isinstance(answer, dns.resolver.Answer)]
        texts = [row.address for answer in found for row in list(answer.rrset or ())[:_MAX_ADDRESSES]]
        return Addresses(
            usable=tuple(text for text in texts if self._allow_private or is_public(text)),
            refused=tuple(text for text in texts if not (self._allow_private or is_public(text))),
            failed=any(isinstance(answer, TryLater) for answer in answers),
            ttl_seconds=min(
                (_ttl_seconds(answer) for answer in found if answer.rrset), default=_LEAST_SECONDS
            ),
        )

    async def close(self) -> None:
        await self._answers.close()

    def _shuffled(self, found: MailHosts) -> MailHosts:
        """RFC 5321 5.1: equal preferences in random order, and so the addresses of each host."""
        hosts = [replace(host, addresses=self._mixed(host.addresses)) for host in found.hosts]
        self._chance.shuffle(hosts)
        return replace(found, hosts=tuple(sorted(hosts, key=lambda host: host.preference)))

    def _mixed(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """The families by turns: with one of them unreachable, every second try still counts.

        IPv4 first, because receivers ask more of senders that come by IPv6.
        """
        families: tuple[list[str], list[str]] = ([], [])
        for address in self._chance.sample(addresses, len(addresses)):
            families[":" in address].append(address)
        turns = [
            (turn, family, text) for family, texts in enumerate(families) for turn, text in enumerate(texts)
        ]
        return tuple(text for _turn, _family, text in sorted(turns))

    async def _ask(self, domain: str) -> Answer[MailRoute]:
        if not is_host_name(domain):
            return Answer(NoDomain(domain), _LEAST_SECONDS)
        answer = await self._question(domain, "MX")
        if isinstance(answer, NoDomain):
            return Answer(answer, _LEAST_SECONDS)
        if isinstance(answer, TryLater):
            return Answer(answer, _FAILURE_SECONDS)
        if not answer.rrset:
            return await self._with_addresses(domain, [(0, domain)], _ttl_seconds(answer), implicit=True)
        rows = [(row.preference, row.exchange.to_text(omit_final_dot=True).lower()) for row in answer.rrset]
        named = [(preference, name) for preference, name in rows if is_host_name(name)]
        if not named:
            # RFC 7505 3: the root as the only exchange. Other names that cannot be are a mistake.
            null = all(name in ("", ".", "@") for _preference, name in rows)
            value = NoMail(domain) if null else NoHost(domain, "its MX records name no host")
            return Answer(value, _bounded(_ttl_seconds(answer)))
        self._chance.shuffle(named)
        named.sort(key=lambda row: row[0])
        return await self._with_addresses(domain, named[:_MAX_HOSTS], _ttl_seconds(answer), implicit=False)

    async def _with_addresses(
        self, domain: str, named: list[tuple[int, str]], ttl_seconds: float, *, implicit: bool
    ) -> Answer[MailRoute]:
        found = await asyncio.gather(*(self.addresses(name) for _preference, name in named))
        hosts = tuple(
            MailHost(name, preference, addresses.usable)
            for (preference, name), addresses in zip(named, found, strict=True)
            if addresses.usable
        )
        failed = any(addresses.failed for addresses in found)
        if not hosts:
            if failed:
                later = TryLater(domain, "no name server answers for its mail hosts' addresses")
                return Answer(later, _FAILURE_SECONDS)
            return Answer(NoHost(domain, _why_none(found, implicit=implicit)), _LEAST_SECONDS)
        least_seconds = min([ttl_seconds, *(addresses.ttl_seconds for addresses in found)])
        seconds = _FAILURE_SECONDS if failed else _bounded(least_seconds)
        return Answer(MailHosts(domain, hosts, implicit), seconds)

    async def _question(self, name: str, kind: str) -> "dns.resolver.Answer | NoDomain | TryLater":
        """One question; CNAMEs are followed by the resolver, as RFC 5321 5.1 wants of the domain's."""
        try:
            if self._resolver is None:
                self._resolver = open_resolver(self._settings)
            async with self._room:
                return await self._resolver.resolve(
                    dns.name.from_text(name),
                    dns.rdatatype.from_text(kind),
                    search=False,
                    raise_on_no_answer=False,
                )
        except dns.resolver.NXDOMAIN:
            return NoDomain(name)
        except dns.resolver.NoNameservers:
            return TryLater(name, "its name servers fail")
        except (dns.exception.DNSException, OSError, UnicodeError):
            return TryLater(name, "no name server answers")


def provider_group(found: MailHosts) -> str:
    """The organisation that limits are kept for; the same whatever the order of equal preferences."""
    first = min(found.hosts, key=lambda host: (host.preference, host.name))
    return group_of_host(first.name)


def is_host_name(text: str) -> bool:
    """Letters, digits, hyphens and, as many have them, underscores; nothing that needs quoting anywhere."""
    return _HOST_NAME.fullmatch(text) is not None


def _why_none(found: list[Addresses], *, implicit: bool) -> str:
    if any(addresses.refused for addresses in found):
        return "its mail hosts have only private addresses"
    return "it has neither mail hosts nor an address" if implicit else "its mail hosts have no address"


def _ttl_seconds(answer: dns.resolver.Answer) -> float:
    return float(answer.chaining_result.minimum_ttl)


def _bounded(ttl_seconds: float) -> float:
    return min(max(ttl_seconds, _LEAST_SECONDS), _MOST_SECONDS)
