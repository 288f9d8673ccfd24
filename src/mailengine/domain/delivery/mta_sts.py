"""MTA-STS (RFC 8461): whether a domain asks that its mail comes by verified TLS only, and to which hosts.

A policy that was once seen holds until its max_age, whatever an attacker then does to DNS or web server: what
cannot be asked or fetched, or is not valid, leaves the last one in force (section 5.1).
"""

import asyncio
import re
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

import httpx

from mailengine.core.clock import Clock
from mailengine.core.config import DnsSettings
from mailengine.core.log import get_logger
from mailengine.domain.delivery.answers import Answer, Answers
from mailengine.domain.delivery.mx import MxResolver, is_host_name
from mailengine.domain.senders.dns import CouldNotAsk, Lookup

Mode = Literal["none", "testing", "enforce"]

_MAX_POLICIES = 10_000
_MAX_ASKED = 32  # domains at a time: each has a socket, and a claim may be to a thousand domains
_MAX_POLICY_BYTES = 64 * 1024  # section 3.3 suggests it: a web server must not fill our memory
_MAX_AGE_SECONDS = 31_557_600  # section 3.2: about a year
_FETCH_SECONDS = 10.0  # section 3.3 suggests a minute, which is long for a queue to wait
_ASK_AGAIN_SECONDS = 600.0  # for the TXT record; section 3.3: a failed fetch rests for five minutes or longer
_MAX_ADDRESSES = 3  # of the policy's host, tried one after the other

_RECORD = re.compile(r"v=STSv1[ \t]*;.*", re.S)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_MX = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")

log = get_logger("mta-sts")


@dataclass(frozen=True, slots=True)
class Policy:
    """`mx` are host names, in lower case, of which the first label may be `*`."""

    mode: Mode
    mx: tuple[str, ...]
    max_age_seconds: int

    def allows(self, host: str) -> bool:
        """Whether a mail host is among those named; `*` is exactly one label (section 4.1)."""
        host = host.lower().rstrip(".")
        _label, _, parent = host.partition(".")
        return host in self.mx or (bool(parent) and f"*.{parent}" in self.mx)


class NoPolicy(Exception):
    """There is no valid policy to be had; says why."""


@dataclass(frozen=True, slots=True)
class _Kept:
    policy: Policy
    record_id: str
    fetched_at: datetime

    @property
    def expires_at(self) -> datetime:
        return self.fetched_at + timedelta(seconds=self.policy.max_age_seconds)


class MtaSts:
    """Finds and remembers policies. `hosts` resolves the policy's host, and refuses private addresses."""

    def __init__(
        self,
        settings: DnsSettings,
        hosts: MxResolver,
        clock: Clock,
        *,
        https_port: int = 443,
        ca_file: str | None = None,
        fetch_timeout_seconds: float = _FETCH_SECONDS,
    ) -> None:
        self._lookup = Lookup(settings)
        self._hosts = hosts
        self._clock = clock
        self._https_port = https_port
        self._ca_file = ca_file
        self._fetch_timeout_seconds = fetch_timeout_seconds
        self._tls: ssl.SSLContext | None = None
        self._room = asyncio.Semaphore(_MAX_ASKED)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._answers: Answers[Policy | None] = Answers(clock, self._ask, limit=_MAX_POLICIES)

    async def policy(self, domain: str) -> Policy | None:
        """The policy in force for mail to `domain` (A-labels); None when there is none."""
        return await self._answers.get(domain.lower().rstrip("."))

    async def close(self) -> None:
        await self._answers.close()

    async def _ask(self, domain: str) -> Answer[Policy | None]:
        async with self._room:
            kept = await self._current(domain) if is_host_name(domain) else None
        if kept is None:
            return Answer(None, _ASK_AGAIN_SECONDS)
        left_seconds = (kept.expires_at - self._clock.now()).total_seconds()
        return Answer(kept.policy, min(_ASK_AGAIN_SECONDS, left_seconds))

    async def _current(self, domain: str) -> _Kept | None:
        kept = self._live(domain)
        try:
            record_id = parse_record(await self._lookup.txt(f"_mta-sts.{domain}"))
        except CouldNotAsk:
            record_id = None
        if record_id is not None and not self._is_fresh(kept, record_id):
            try:
                kept = _Kept(await self._fetch(domain), record_id, self._clock.now())
                self._keep(domain, kept)
            except NoPolicy as error:
                log.warning("policy not fetched", domain=domain, words=str(error), kept=kept is not None)
        return kept

    def _live(self, domain: str) -> _Kept | None:
        kept = self._kept.get(domain)
        return kept if kept is not None and self._clock.now() < kept.expires_at else None

    def _is_fresh(self, kept: _Kept | None, record_id: str) -> bool:
        """The same version, and not near its end: section 3.3 wants it fetched again before it expires."""
        if kept is None or kept.record_id != record_id:
            return False
        return self._clock.now() - kept.fetched_at < timedelta(seconds=kept.policy.max_age_seconds) / 2

    def _keep(self, domain: str, kept: _Kept) -> None:
        self._kept[domain] = kept
        self._kept.move_to_end(domain)
        while len(self._kept) > _MAX_POLICIES:
            self._kept.popitem(last=False)

    async def _fetch(self, domain: str) -> Policy:
        host = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(self._fetch_timeout_seconds):
                addresses = (await self._hosts.addresses(host)).usable[:_MAX_ADDRESSES]
                return parse_policy(await self._get(host, addresses))
        except TimeoutError:
            raise NoPolicy(f"{host} does not answer in {self._fetch_timeout_seconds:g} s") from None

    async def _get(self, host: str, addresses: tuple[str, ...]) -> str:
        """From the first address that can be reached."""
        problem = "it has no address that may be connected to"
        for address in addresses:
            try:
                return await self._get_from(host, address)
            except (httpx.HTTPError, OSError) as error:
                problem = str(error) or type(error).__name__
        raise NoPolicy(f"{host}: {problem}")

    async def _get_from(self, host: str, address: str) -> str:
        """The address that was checked is the one connected to; the certificate must be for the name."""
        url = httpx.URL(scheme="https", host=address, port=self._https_port, path="/.well-known/mta-sts.txt")
        headers = {"Host": host, "Accept-Encoding": "identity"}
        tls = await self._context()
        # Section 3.3: no redirects. A proxy from the environment would get round the check of the address.
        async with (
            httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url, headers=headers, extensions={"sni_hostname": host}) as response,
        ):
            return await _read(response, host)

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:  # in a thread: reading the authorities takes tens of milliseconds
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        return self._tls


async def _read(response: httpx.Response, host: str) -> str:
    if response.status_code != 200:
        raise NoPolicy(f"{host} answers {response.status_code}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/plain":  # section 3.2: not what some user of the site was allowed to upload
        raise NoPolicy(f"{host}: the policy is {kind or 'of no type'} and not text/plain")
    content = b""
    async for chunk in response.aiter_raw():  # raw: a small compressed answer must not grow in our hands
        content += chunk
        if len(content) > _MAX_POLICY_BYTES:
            raise NoPolicy(f"{host}: the policy is larger than {_MAX_POLICY_BYTES} bytes")
    return content.decode("utf-8", "replace")


def parse_record(texts: list[str]) -> str | None:
    """The policy's id from the TXT records of _mta-sts (section 3.1); several records count as none."""
    records = [text for text in texts if _RECORD.match(text)]
    if len(records) != 1:
        return None
    fields = [part.partition("=") for part in records[0].split(";")]
    ids = [value.strip() for name, _, value in fields if name.strip() == "id"]
    return ids[0] if ids and _ID.fullmatch(ids[0]) else None


def parse_policy(text: str) -> Policy:
    """A policy as it is served (section 3.2); raises NoPolicy. The first of a repeated key counts, but for mx."""
    first: dict[str, str] = {}
    mx: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if colon and key == "mx":
            mx.append(_checked_mx(value))
        elif colon:
            first.setdefault(key, value)
        elif line.strip():
            raise NoPolicy(f"the policy has a line that is none: {line[:80]!r}")
    if first.get("version") != "STSv1":
        raise NoPolicy("the policy's version is not STSv1")
    mode, age = first.get("mode"), first.get("max_age", "")
    if mode not in ("none", "testing", "enforce"):
        raise NoPolicy(f"the policy's mode {mode!r} does not exist")
    if not (age.isascii() and age.isdecimal() and len(age) <= 10):
        raise NoPolicy(f"the policy's max_age {age[:20]!r} is not a number of seconds")
    if not mx and mode != "none":
        raise NoPolicy("the policy names no mail host")
    return Policy(cast(Mode, mode), tuple(dict.fromkeys(mx)), min(int(age), _MAX_AGE_SECONDS))


def _checked_mx(value: str) -> str:
    name = value.lower()
    if not _MX.fullmatch(name) or ".." in name:
        raise NoPolicy(f"the policy names a mail host that cannot be: {value[:80]!r}")
    return name
