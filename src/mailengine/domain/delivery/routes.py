"""How a session to the server for a message is opened: to a relay, or to the recipients' own mail hosts.

A route says in which way it failed: ConnectFailed is temporary trouble, NoRoute is a verdict about the
recipients' domain that no further try will change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mailengine.core.config import WorkerSettings
from mailengine.core.errors import MailengineError
from mailengine.core.log import get_logger
from mailengine.domain.delivery.mta_sts import MtaSts, Policy
from mailengine.domain.delivery.mx import (
    MailHost,
    MailHosts,
    MailRoute,
    MxResolver,
    NoDomain,
    NoHost,
    NoMail,
    TryLater,
)
from mailengine.domain.delivery.servers import LeftAlone, Servers, Slot, Target
from mailengine.domain.delivery.smtp import ConnectFailed, Endpoint, Session, open_session
from mailengine.mail.replies import Verdict, judge

# Hosts and addresses tried for one session: each that is dead costs a connection's time-out.
_MAX_TRIES = 6

log = get_logger("route")


class NoRoute(MailengineError):
    """Nobody takes mail for the domain; `verdict` is what becomes of each message to it."""

    def __init__(self, domain: str, verdict: Verdict) -> None:
        super().__init__(f"no mail to {domain}: {verdict.text}")
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Connection:
    """A session ready to run, and its place at the server."""

    session: Session
    slot: Slot

    async def close(self) -> None:
        try:
            await self.session.close()
        finally:
            self.slot.release()


class Route(Protocol):
    @property
    def name(self) -> str:
        """For logs: a server or a domain."""
        ...

    async def open(self, needed: Callable[[], bool]) -> Connection | None:
        """A connection, as soon as the server has room for one more; None when it is not `needed` any more by then.

        Raises LeftAlone (the server rests), ConnectFailed (for now) or NoRoute (for good).
        """
        ...


class RelayRoute:
    """To the one server that takes all mail."""

    def __init__(self, endpoint: Endpoint, servers: Servers) -> None:
        self.endpoint = endpoint
        self._servers = servers

    @property
    def name(self) -> str:
        return self.endpoint.where

    async def open(self, needed: Callable[[], bool]) -> Connection | None:
        slot = await self._servers.slot(None, needed)
        return await _opened(self.endpoint, slot) if slot else None


class DirectRoute:
    """To the mail hosts of one domain (RFC 5321 5.1), by TLS where they offer it or MTA-STS demands it.

    `helo` and `source_address` belong to the sending identity: the name must resolve to the address and
    back, or receivers refuse. `port` is 25 but in tests; `ca_file` replaces the system's authorities.
    """

    def __init__(
        self,
        domain: str,
        resolver: MxResolver,
        sts: MtaSts,
        servers: Servers,
        settings: WorkerSettings,
        *,
        helo: str | None = None,
        source_address: str | None = None,
        port: int = 25,
        connect_timeout_seconds: float = 30.0,
        ca_file: str | None = None,
    ) -> None:
        self.domain = domain
        self._resolver = resolver
        self._sts = sts
        self._servers = servers
        self._settings = settings
        self._helo = helo
        self._source_address = source_address
        self._port = port
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ca_file = ca_file

    @property
    def name(self) -> str:
        return self.domain

    async def open(self, needed: Callable[[], bool]) -> Connection | None:
        found = self._mail_hosts(await self._resolver.lookup(self.domain))
        policy = await self._sts.policy(self.domain)
        enforced = policy is not None and policy.mode == "enforce"
        hosts = self._allowed(found, policy)
        alone: list[LeftAlone] = []
        problems: list[ConnectFailed] = []
        for host, address in self._targets(hosts):
            try:
                slot = await self._servers.slot(Target(host.name, address, self._source_address), needed)
                return await _opened(self._endpoint(host, address, enforced=enforced), slot) if slot else None
            except LeftAlone as rest:
                alone.append(rest)
            except ConnectFailed as failure:  # RFC 5321 5.1: the next, also after a greeting of 4xx or 5xx
                problems.append(failure)
        if alone and not problems:
            raise min(alone, key=lambda rest: rest.seconds)
        raise self._all_failed(problems)

    def _mail_hosts(self, found: MailRoute) -> MailHosts:
        if isinstance(found, MailHosts):
            return found
        if isinstance(found, TryLater):
            raise ConnectFailed(self.domain, "dns", None, found.detail)
        raise NoRoute(self.domain, _verdict(found))

    def _allowed(self, found: MailHosts, policy: Policy | None) -> tuple[MailHost, ...]:
        """The hosts that the policy names, where it is enforced; else all."""
        if policy is None or policy.mode == "none":
            return found.hosts
        allowed = tuple(host for host in found.hosts if policy.allows(host.name))
        if len(allowed) < len(found.hosts):
            names = " ".join(host.name for host in found.hosts if host not in allowed)
            log.warning(
                "mail hosts outside the MTA-STS policy", domain=self.domain, mode=policy.mode, hosts=names
            )
        if policy.mode == "testing":
            return found.hosts
        if not allowed:  # RFC 8461 5: not delivered, and tried again: the policy or the DNS may be mended
            raise ConnectFailed(self.domain, "tls", None, "its MTA-STS policy names none of its mail hosts")
        return allowed

    def _targets(self, hosts: tuple[MailHost, ...]) -> list[tuple[MailHost, str]]:
        targets = [
            (host, address) for host in hosts for address in host.addresses if self._same_family(address)
        ]
        return targets[:_MAX_TRIES]

    def _same_family(self, address: str) -> bool:
        return self._source_address is None or (":" in address) == (":" in self._source_address)

    def _endpoint(self, host: MailHost, address: str, *, enforced: bool) -> Endpoint:
        return Endpoint(
            host.name,
            self._port,
            tls="starttls" if enforced else "opportunistic",
            addresses=(address,),
            helo=self._helo,
            source_address=self._source_address,
            ca_file=self._ca_file,
            connect_timeout_seconds=self._connect_timeout_seconds,
            command_timeout_seconds=self._settings.command_timeout_seconds,
            data_timeout_seconds=self._settings.data_timeout_seconds,
        )

    def _all_failed(self, problems: list[ConnectFailed]) -> ConnectFailed:
        """What the servers said counts for more than that others could not be reached."""
        if not problems:
            detail = f"none of its mail hosts can be reached from {self._source_address}"
            return ConnectFailed(self.domain, "connect", None, detail)
        telling = next((problem for problem in problems if problem.reply is not None), problems[0])
        words = "; ".join(dict.fromkeys(str(problem) for problem in problems))
        return ConnectFailed(self.domain, telling.stage, telling.reply, words)


async def _opened(endpoint: Endpoint, slot: Slot) -> Connection:
    """The slot is given up when this raises."""
    try:
        return Connection(await open_session(endpoint), slot)
    except BaseException as error:
        # Failures of TLS or a login may concern one domain's policy, or us.
        if isinstance(error, ConnectFailed) and error.stage in ("connect", "greeting", "ehlo"):
            asks_for_less = error.reply is not None and judge(error.reply, "connect").cause == "rate"
            slot.trouble(error.detail, rate=asks_for_less)
        slot.release()
        raise


def _verdict(found: NoMail | NoDomain | NoHost) -> Verdict:
    """Code 0: no server was asked. Enhanced codes: RFC 3463 3.2 and 3.5, RFC 7505 4.2.

    A domain whose records are broken is not held against the address: its owner may mend them.
    """
    match found:
        case NoDomain():
            return _rejected("5.1.2", "the domain does not exist", hard=True)
        case NoMail():
            return _rejected("5.1.10", "the domain takes no mail (null MX)", hard=True)
        case NoHost(detail=detail):
            return _rejected("5.4.4", detail, hard=False)


def _rejected(enhanced: str, text: str, *, hard: bool) -> Verdict:
    return Verdict("rejected", "recipient" if hard else "network", 0, enhanced, text, hard)
