"""SPF records (RFC 7208): is there exactly one, does it parse, does it stay within its ten lookups.

Whether it permits the relay is not judged: a relay may send from addresses that only its operator knows. The
verdict names what the record permits, so that a person can see whether their server is among it.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailengine.domain.senders.verdicts import Verdict, failed, passed

MAX_LOOKUPS = 10  # RFC 7208, section 4.6.4: receivers answer permerror beyond it
_LOOKUP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
_NEEDS_DOMAIN = frozenset({"include", "exists", "redirect"})
_MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_MODIFIER = re.compile(r"([a-z][a-z0-9._-]*)=(\S*)", re.I)
_MECHANISM = re.compile(r"([-+?~]?)([a-z0-9]+)(?::([^/\s]+))?((?:/{1,2}\d{1,3}){0,2})", re.I)
_DOMAIN_SPEC = re.compile(r"(?:[\x21-\x24\x26-\x7e]|%[%_-]|%\{[slodiphcrtv]\d*r?[.+,/_=-]*\})+", re.I)

Fetch = Callable[[str], Awaitable[list[str]]]  # the TXT records of a name; raises when it cannot be asked


class SpfError(ValueError):
    """The record would be a permanent error to whoever evaluates it."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a record: `-all`, `include:_spf.example.net`, `redirect=…`."""

    name: str
    qualifier: str = "+"
    target: str = ""

    @property
    def permits(self) -> str | None:
        """How a person would name what this term lets send, None when it lets nobody."""
        if self.qualifier != "+" or self.name in ("all", "exp"):
            return None
        return f"{self.name}:{self.target}" if self.target else self.name


def spf_records(texts: list[str]) -> list[str]:
    """The SPF records among a name's TXT records (RFC 7208, section 4.5)."""
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def parse(record: str) -> list[Term]:
    """The terms of a record; raises SpfError for what receivers would not accept."""
    terms = [_term(word) for word in record.split()[1:]]
    for name in ("redirect", "exp"):
        if sum(term.name == name for term in terms) > 1:
            raise SpfError(f"{name}= stands in it twice")
    return terms


def _term(word: str) -> Term:
    if modifier := _MODIFIER.fullmatch(word):
        name, target = modifier[1].lower(), modifier[2]
        _check_domain(name, target)
        return Term(name, target=target)
    parts = re.fullmatch(r"([-+?~]?)(ip[46]):(\S+)", word, re.I)
    if parts:
        return Term(parts[2].lower(), parts[1] or "+", _network(parts[2].lower(), parts[3]))
    found = _MECHANISM.fullmatch(word)
    if found is None or found[2].lower() not in _MECHANISMS - {"ip4", "ip6"}:
        raise SpfError(f"it does not parse at {word!r}")
    name, target = found[2].lower(), found[3] or ""
    _check_domain(name, target)
    return Term(name, found[1] or "+", target)


def _check_domain(name: str, target: str) -> None:
    if name in _NEEDS_DOMAIN and not target:
        raise SpfError(f"{name} names no domain")
    if target and name in _MECHANISMS | _NEEDS_DOMAIN and not _DOMAIN_SPEC.fullmatch(target):
        raise SpfError(f"{name} names {target!r}, which is no domain")


def _network(kind: str, text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SpfError(f"{kind}:{text} is no address") from error
    if network.version != int(kind[-1]):
        raise SpfError(f"{kind}:{text} is an address of the other version")
    return text


async def judge_spf(domain: str, texts: list[str], fetch: Fetch) -> Verdict:
    """The verdict on a domain's TXT records; `fetch` reads the records that they include."""
    records = spf_records(texts)
    if not records:
        return failed(f"there is no SPF record at {domain}; publish the one shown", texts)
    if len(records) > 1:
        return failed(f"there are {len(records)} SPF records at {domain}; merge them into one", records)
    try:
        terms = parse(records[0])
        lookups = await count_lookups(terms, fetch, seen=frozenset({domain.lower()}))
    except SpfError as error:
        return failed(f"receivers would not accept the SPF record: {error}", records)
    if lookups > MAX_LOOKUPS:
        return failed(f"the SPF record needs more than {MAX_LOOKUPS} lookups; receivers ignore it", records)
    return _permitted(terms, lookups, records)


def _permitted(terms: list[Term], lookups: int, records: list[str]) -> Verdict:
    default = next((term for term in terms if term.name == "all"), None)
    if default is not None and default.qualifier == "+":
        return failed("the SPF record lets every server in the world send; end it with ~all", records)
    allowed = ", ".join(found for term in terms if (found := term.permits)) or "nobody"
    return passed(f"permits {allowed} ({lookups} of {MAX_LOOKUPS} lookups)", records)


async def count_lookups(terms: list[Term], fetch: Fetch, *, seen: frozenset[str]) -> int:
    """How many DNS lookups a receiver makes at worst; stops counting once there are too many.

    A macro is filled in by the receiver, so a name that holds one is counted but not followed.
    """
    has_all = any(term.name == "all" for term in terms)
    count = 0
    for term in terms:
        if term.name not in _LOOKUP or (term.name == "redirect" and has_all):  # RFC 7208, section 6.1
            continue
        count += 1
        if term.name in ("include", "redirect") and "%" not in term.target and count <= MAX_LOOKUPS:
            count += await _included(term, fetch, seen)
        if count > MAX_LOOKUPS:
            break
    return count


async def _included(term: Term, fetch: Fetch, seen: frozenset[str]) -> int:
    name = term.target.rstrip(".").lower()
    if name in seen:
        raise SpfError(f"it includes {name} within itself")
    records = spf_records(await fetch(name))
    if len(records) != 1:
        raise SpfError(f"{name}, which it includes, has {len(records) or 'no'} SPF records")
    return await count_lookups(parse(records[0]), fetch, seen=seen | {name})
