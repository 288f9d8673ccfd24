"""Relays: the SMTP servers that take a tenant's mail. Passwords are stored sealed and never shown.

A relay is only described here; `delivery.transport` makes a connection of it.
"""

import ipaddress
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.models import (
    Bucket,
    Campaign,
    CampaignState,
    Limit,
    LimitScope,
    Relay,
    RelayAuth,
    RelayKind,
    Tls,
    WarmUp,
    WarmUpScope,
)

PASSWORD_PURPOSE = "relay password"  # noqa: S105  # what the sealed value is bound to, not a password

_MOST = 1000  # of priorities and weights
_MOST_USERNAME = 320  # an address
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
# A line break in a credential would be a command of its own on the wire (RFC 4954, section 4).
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RelayDetails:
    """What was checked and can be stored."""

    name: str
    host: str
    port: int
    tls: Tls
    username: str = ""
    password: str = field(default="", repr=False)
    priority: int = 0
    weight: int = 1
    kind: RelayKind = RelayKind.SMTP
    helo: str = ""
    source_address: str = ""
    auth: RelayAuth = RelayAuth.PASSWORD


@dataclass(frozen=True, slots=True)
class RelayChanges:
    """What is to be changed; None leaves it as it is."""

    priority: int | None = None
    weight: int | None = None
    enabled: bool | None = None


def check_share(*, priority: int, weight: int) -> None:
    """Raises InvalidInput."""
    if not 0 <= priority <= _MOST:
        raise InvalidInput(f"a priority is 0 (first) to {_MOST} (last)")
    if not 1 <= weight <= _MOST:
        raise InvalidInput(f"a weight is 1 to {_MOST}; disable the relay to send nothing through it")


def check_relay(
    *,
    name: str,
    host: str,
    port: int,
    tls: Tls,
    username: str = "",
    password: str = "",
    priority: int = 0,
    weight: int = 1,
    auth: RelayAuth = RelayAuth.PASSWORD,
) -> RelayDetails:
    """Check what a person gave; raises InvalidInput with what to give instead."""
    name = _checked_name(name)
    if not 1 <= port <= 65535:
        raise InvalidInput(f"port {port} does not exist; 587 (starttls) and 465 (tls) are usual")
    _check_credentials(username, password)
    if bool(username) != bool(password):
        raise InvalidInput("a relay needs both a username and a password, or neither")
    if auth is RelayAuth.XOAUTH2 and not username:
        raise InvalidInput("xoauth2 needs a username, the mailbox that the access token is for")
    host = check_host(host)
    if username and tls is Tls.NONE and not is_local(host):
        raise InvalidInput(
            f"the password would travel to {host} unencrypted; use --tls starttls (587) or --tls tls (465)"
        )
    check_share(priority=priority, weight=weight)
    return RelayDetails(name, host, port, tls, username, password, priority, weight, auth=auth)


def check_direct(
    *, name: str, helo: str, source_address: str = "", priority: int = 0, weight: int = 1
) -> RelayDetails:
    """Check a direct way to the recipients' own servers; raises InvalidInput."""
    if source_address:
        try:
            source_address = str(ipaddress.ip_address(source_address.strip()))
        except ValueError as error:
            raise InvalidInput(f"{source_address!r} is no IP address to send from") from error
    check_share(priority=priority, weight=weight)
    return RelayDetails(
        _checked_name(name),
        host="",
        port=25,  # RFC 5321, section 4.5.4.2: where mail hosts listen
        tls=Tls.STARTTLS,  # where they offer it or MTA-STS demands it
        priority=priority,
        weight=weight,
        kind=RelayKind.DIRECT,
        helo=check_host(helo),
        source_address=source_address,
    )


def _check_credentials(username: str, password: str) -> None:
    if _CONTROL.search(username + password):
        raise InvalidInput(
            "the relay's username and password must not hold line breaks or control characters"
        )
    if len(username) > _MOST_USERNAME:
        raise InvalidInput(f"the relay's username must have at most {_MOST_USERNAME} characters")


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100 or _CONTROL.search(name):
        raise InvalidInput("the relay's name must have 1 to 100 printable characters")
    return name


def check_host(text: str) -> str:
    """A host name in A-labels, or an IP address, in its usual form; raises InvalidInput."""
    host = text.strip().strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    # A name of digits alone is a mistyped address: RFC 1123, section 2.1.
    if not _HOST_NAME.fullmatch(name) or name.rsplit(".", 1)[-1].isdigit():
        raise InvalidInput(
            f"{text!r} is not a host name or IP address; give only the host, such as smtp.example.org"
        )
    return name


def is_local(host: str) -> bool:
    """True for this machine: nothing that is sent there can be overheard on the way."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def add(tx: WriteTx, scope: Scope, *, details: RelayDetails, keyring: Keyring, now: datetime) -> Relay:
    """Store a relay; raises Conflict when its name is taken."""
    scope.require(Grant.MANAGE)
    sealed = keyring.seal(details.password.encode(), PASSWORD_PURPOSE) if details.password else ""
    relay = Relay(
        tenant_id=scope.tenant_id,
        name=details.name,
        kind=details.kind,
        helo=details.helo,
        source_address=details.source_address,
        host=details.host,
        port=details.port,
        tls=details.tls,
        auth=details.auth,
        username=details.username,
        password_sealed=sealed,
        priority=details.priority,
        weight=details.weight,
        created_at=now,
    )
    tx.add(relay)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is already a relay called {details.name}; remove it first") from error
    await audit.record(
        tx, scope, "relay.add", "relay", relay.id, now=now, host=details.host, port=details.port
    )
    return relay


async def list_relays(
    tx: ReadTx,
    scope: Scope,
    *,
    request: PageRequest | None = None,
    text: str = "",
    enabled: bool | None = None,
) -> Page[Relay]:
    """The tenant's relays by name; `text` restricts to names and hosts that hold it."""
    query = owned(Relay, scope)
    if text:
        query = query.where(sa.or_(contains(col(Relay.name), text), contains(col(Relay.host), text)))
    if enabled is not None:
        query = query.where(col(Relay.enabled) == enabled)
    return await keyset_page(tx, query, col(Relay.name), request or PageRequest())


async def get_relay(tx: ReadTx, scope: Scope, *, name: str) -> Relay:
    """The relay with this name; raises NotFound."""
    relay = await tx.scalar(owned(Relay, scope).where(col(Relay.name) == name))
    if relay is None:
        raise NotFound(f"there is no relay called {name}")
    return relay


async def get_by_id(tx: ReadTx, scope: Scope, *, relay_id: int) -> Relay:
    """Raises NotFound."""
    relay = await tx.scalar(owned(Relay, scope).where(col(Relay.id) == relay_id))
    if relay is None:
        raise NotFound(f"there is no relay {relay_id}")
    return relay


async def names(tx: ReadTx, scope: Scope) -> dict[str, str]:
    """Every relay's name by its id, written as limits and warm-ups store it."""
    return {str(relay.id): relay.name for relay in await tx.scalars(owned(Relay, scope))}


async def default_relay(tx: ReadTx, scope: Scope) -> Relay | None:
    """The first relay of campaigns that name none: enabled, of the least priority number, the oldest."""
    order = (col(Relay.enabled).desc(), col(Relay.priority), col(Relay.id))
    return await tx.scalar(owned(Relay, scope).order_by(*order).limit(1))


async def update(tx: WriteTx, scope: Scope, *, name: str, changes: RelayChanges, now: datetime) -> Relay:
    """Change a relay's share of the mail; workers take it up with their next claim. Raises NotFound."""
    scope.require(Grant.MANAGE)
    relay = await get_relay(tx, scope, name=name)
    changed = {key: value for key, value in asdict(changes).items() if value is not None}
    if not changed:
        raise InvalidInput("there is nothing to change; give a priority, a weight, or enable or disable it")
    for key, value in changed.items():
        setattr(relay, key, value)
    check_share(priority=relay.priority, weight=relay.weight)
    await audit.record(tx, scope, "relay.update", "relay", relay.id, now=now, **changed)
    return relay


async def replace_password(
    tx: WriteTx, scope: Scope, *, name: str, password: str, keyring: Keyring, now: datetime
) -> Relay:
    """A new password, or the next access token; workers log in with it on their next connections. Raises NotFound."""
    scope.require(Grant.MANAGE)
    relay = await get_relay(tx, scope, name=name)
    if not relay.username:
        raise InvalidInput(f"the relay {name} logs in with no password; add it again with a username")
    _check_credentials(relay.username, password)
    if not password:
        raise InvalidInput("the new password is empty")
    relay.password_sealed = keyring.seal(password.encode(), PASSWORD_PURPOSE)
    await audit.record(tx, scope, "relay.password", "relay", relay.id, now=now)
    return relay


async def remove(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> None:
    """Delete a relay; raises Conflict while a campaign that is under way uses it."""
    scope.require(Grant.MANAGE)
    relay = await get_relay(tx, scope, name=name)
    uses = col(Campaign.relay_id) == relay.id
    if not await _another(tx, scope, relay):
        uses = sa.or_(uses, col(Campaign.relay_id).is_(None))
    campaign = await tx.scalar(owned(Campaign, scope).where(under_way(), uses).limit(1))
    if campaign is not None:
        raise Conflict(
            f"the campaign {campaign.name} sends by the relay {name}; let it end or cancel it first"
        )
    await tx.execute(
        sa.update(Campaign)
        .where(tenant_of(Campaign) == scope.tenant_id, col(Campaign.relay_id) == relay.id)
        .values(relay_id=None)
    )
    await _forget_limits(tx, scope, relay)
    await tx.delete(relay)
    await audit.record(tx, scope, "relay.remove", "relay", relay.id, now=now)


async def _another(tx: ReadTx, scope: Scope, relay: Relay) -> bool:
    """Whether campaigns that name no relay have another one to go through."""
    others = owned(Relay, scope).where(col(Relay.enabled), col(Relay.id) != relay.id)
    return await tx.scalar(others.limit(1)) is not None


async def _forget_limits(tx: WriteTx, scope: Scope, relay: Relay) -> None:
    """Its id may be given to a later relay, which must not start with this one's limits."""
    target = str(relay.id)
    for model, kind in ((Limit, LimitScope.RELAY), (WarmUp, WarmUpScope.RELAY)):
        table = table_of(model)
        await tx.execute(
            sa.delete(table).where(
                tenant_of(model) == scope.tenant_id, table.c.scope == kind, table.c.target == target
            )
        )
    buckets = table_of(Bucket)
    of_relay = [buckets.c.name == f"warm-up:relay:{target}", buckets.c.name.startswith(f"relay:{target}:")]
    await tx.execute(sa.delete(buckets).where(buckets.c.tenant_id == scope.tenant_id, sa.or_(*of_relay)))


def under_way() -> sa.ColumnElement[bool]:
    """Campaigns that have messages still to send."""
    return col(Campaign.state).in_((CampaignState.SENDING, CampaignState.PAUSED))
