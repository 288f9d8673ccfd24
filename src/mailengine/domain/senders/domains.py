"""Sending domains: in whose name a tenant sends, with the keys that sign for it."""

from dataclasses import dataclass
from datetime import datetime

from anyio import to_thread
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.domain.senders.dns import signing
from mailengine.domain.senders.relays import under_way
from mailengine.domain.senders.verdicts import Checks
from mailengine.mail.address import AddressError, parse_address
from mailengine.mail.dkim import KeyPair, Signer, dns_record, generate_ed25519, generate_rsa
from mailengine.models import Campaign, DkimKey, SendingDomain

KEY_PURPOSE = "DKIM key"
_SELECTOR = "me"  # me1, me2, …: an old one stays published while mail that it signed is under way


@dataclass(frozen=True, slots=True)
class DomainKeys:
    """A domain and the keys that sign for it."""

    domain: SendingDomain
    keys: list[DkimKey]


def check_domain(text: str) -> str:
    """A domain in A-labels (RFC 5890), as it stands in the DNS; raises InvalidInput."""
    name = text.strip().rstrip(".")
    try:
        return parse_address(f"postmaster@{name}").domain
    except AddressError as error:
        raise InvalidInput(f"{text!r} is no domain ({error.reason}); give it as example.org") from error


async def new_key(algorithm: str = "rsa") -> KeyPair:
    """A 2048-bit RSA or an Ed25519 key, made in a thread: 0.1 s of CPU that no transaction should wait for."""
    makers = {"rsa": generate_rsa, "ed25519": generate_ed25519}
    if algorithm not in makers:
        raise InvalidInput(f"{algorithm!r} is no DKIM algorithm; use rsa or ed25519")
    return await to_thread.run_sync(makers[algorithm])


async def add_domain(
    tx: WriteTx, scope: Scope, *, domain: str, key: KeyPair, keyring: Keyring, now: datetime
) -> DomainKeys:
    """Store a domain with its first key; raises Conflict when the tenant has it."""
    scope.require(Grant.MANAGE)
    row = SendingDomain(tenant_id=scope.tenant_id, domain=check_domain(domain), created_at=now)
    tx.add(row)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"the domain {row.domain} is there already; see `mailengine domain show`") from error
    stored = await _store_key(tx, scope, row, 1, key, keyring, now)
    await audit.record(tx, scope, "domain.add", "domain", row.id, now=now, domain=row.domain)
    return DomainKeys(row, [stored])


async def add_key(
    tx: WriteTx, scope: Scope, *, domain: str, key: KeyPair, keyring: Keyring, now: datetime
) -> DomainKeys:
    """Another key, to follow the old one or to sign beside it; it signs once the DNS shows it."""
    scope.require(Grant.MANAGE)
    found = await get_domain(tx, scope, domain=domain)
    number = 1 + max((int(old.selector.removeprefix(_SELECTOR)) for old in found.keys), default=0)
    stored = await _store_key(tx, scope, found.domain, number, key, keyring, now)
    await audit.record(
        tx, scope, "domain.add-key", "domain", found.domain.id, now=now, selector=stored.selector
    )
    return DomainKeys(found.domain, [*found.keys, stored])


async def remove_key(tx: WriteTx, scope: Scope, *, domain: str, selector: str, now: datetime) -> None:
    """Take a key out of use; raises Conflict for the only one that signs."""
    scope.require(Grant.MANAGE)
    found = await get_domain(tx, scope, domain=domain)
    key = next((key for key in found.keys if key.selector == selector), None)
    if key is None:
        raise NotFound(f"{found.domain.domain} has no DKIM key with the selector {selector}")
    if signing(found.keys) == [key]:
        raise Conflict(f"{selector} is the only key that signs; publish and verify another one first")
    await tx.delete(key)
    await audit.record(tx, scope, "domain.remove-key", "domain", found.domain.id, now=now, selector=selector)


async def _store_key(
    tx: WriteTx, scope: Scope, row: SendingDomain, number: int, key: KeyPair, keyring: Keyring, now: datetime
) -> DkimKey:
    assert row.id is not None
    stored = DkimKey(
        tenant_id=scope.tenant_id,
        domain_id=row.id,
        selector=f"{_SELECTOR}{number}",
        algorithm=key.algorithm,
        private_sealed=keyring.seal(key.private_pem, KEY_PURPOSE),
        public_record=dns_record(key),
        created_at=now,
    )
    tx.add(stored)
    await tx.flush()
    return stored


async def list_domains(
    tx: ReadTx,
    scope: Scope,
    *,
    request: PageRequest | None = None,
    text: str = "",
    verified: bool | None = None,
) -> Page[SendingDomain]:
    """The tenant's sending domains by name; `text` restricts to names that hold it."""
    query = owned(SendingDomain, scope)
    if text:
        query = query.where(contains(col(SendingDomain.domain), text))
    if verified is not None:
        since = col(SendingDomain.verified_at)
        query = query.where(since.is_not(None) if verified else since.is_(None))
    return await keyset_page(tx, query, col(SendingDomain.domain), request or PageRequest())


async def get_domain(tx: ReadTx, scope: Scope, *, domain: str) -> DomainKeys:
    """A domain with its keys; raises NotFound."""
    name = check_domain(domain)
    row = await tx.scalar(owned(SendingDomain, scope).where(col(SendingDomain.domain) == name))
    if row is None:
        raise NotFound(f"there is no sending domain called {name}")
    return DomainKeys(row, await _keys(tx, scope, row))


async def covering(tx: ReadTx, scope: Scope, *, domain: str) -> SendingDomain | None:
    """The sending domain that mail from `domain` is signed by: itself, else its nearest parent.

    A parent's signature is aligned with the From domain (RFC 7489, section 3.1.1, relaxed mode).
    """
    labels = domain.lower().split(".")
    names = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    rows = await tx.scalars(owned(SendingDomain, scope).where(col(SendingDomain.domain).in_(names)))
    return max(rows, key=lambda row: len(row.domain), default=None)


async def signers(tx: ReadTx, scope: Scope, *, domain: str, keyring: Keyring) -> list[Signer]:
    """What signs mail from `domain` (in A-labels), one per key in use; none without such a domain."""
    row = await covering(tx, scope, domain=domain)
    if row is None:
        return []
    return [
        Signer(row.domain, key.selector, keyring.unseal(key.private_sealed, KEY_PURPOSE))
        for key in signing(await _keys(tx, scope, row))
    ]


async def store_checks(
    tx: WriteTx, scope: Scope, *, domain: str, checks: Checks, now: datetime
) -> SendingDomain:
    """Keep what the DNS said; a resolver that was down does not take a verification away."""
    scope.require(Grant.MANAGE)
    found = await get_domain(tx, scope, domain=domain)
    row = found.domain
    row.checks, row.checked_at = checks.as_json(), now
    for key in found.keys:
        if key.selector in checks.published:
            key.published_at = key.published_at or now
    if checks.verified:
        row.verified_at = now
    elif checks.failed:
        row.verified_at = None
    await audit.record(
        tx, scope, "domain.verify", "domain", row.id, now=now, domain=row.domain, verified=checks.verified
    )
    return row


async def remove(tx: WriteTx, scope: Scope, *, domain: str, now: datetime) -> None:
    """Delete a domain and its keys; raises Conflict while a campaign that is under way sends from it."""
    scope.require(Grant.MANAGE)
    row = (await get_domain(tx, scope, domain=domain)).domain
    for campaign in await tx.scalars(owned(Campaign, scope).where(under_way())):
        signer = await covering(tx, scope, domain=parse_address(campaign.from_email).domain)
        if signer is not None and signer.id == row.id:
            raise Conflict(f"the campaign {campaign.name} sends from {row.domain}; let it end or cancel it")
    await tx.delete(row)
    await audit.record(tx, scope, "domain.remove", "domain", row.id, now=now, domain=row.domain)


async def _keys(tx: ReadTx, scope: Scope, row: SendingDomain) -> list[DkimKey]:
    query = owned(DkimKey, scope).where(col(DkimKey.domain_id) == row.id).order_by(col(DkimKey.id))
    return list(await tx.scalars(query))
