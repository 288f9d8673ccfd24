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
from mailengine.domain.senders.relays import under_way
from mailengine.domain.senders.verdicts import Checks
from mailengine.mail.address import AddressError, parse_address
from mailengine.mail.dkim import KeyPair, Signer, dns_record, generate_rsa
from mailengine.models import Campaign, DkimKey, SendingDomain

KEY_PURPOSE = "DKIM key"
_FIRST_SELECTOR = "me1"  # the next key is me2: both stay published while mail with the old one is under way


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


async def new_key() -> KeyPair:
    """A 2048-bit RSA key, made in a thread: about 0.1 s of CPU that no transaction should wait for."""
    return await to_thread.run_sync(generate_rsa)


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
    assert row.id is not None
    stored = DkimKey(
        tenant_id=scope.tenant_id,
        domain_id=row.id,
        selector=_FIRST_SELECTOR,
        algorithm=key.algorithm,
        private_sealed=keyring.seal(key.private_pem, KEY_PURPOSE),
        public_record=dns_record(key),
        created_at=now,
    )
    tx.add(stored)
    await tx.flush()
    await audit.record(tx, scope, "domain.add", "domain", row.id, now=now, domain=row.domain)
    return DomainKeys(row, [stored])


async def list_domains(
    tx: ReadTx, scope: Scope, *, request: PageRequest | None = None
) -> Page[SendingDomain]:
    """The tenant's sending domains by name."""
    return await keyset_page(
        tx, owned(SendingDomain, scope), col(SendingDomain.domain), request or PageRequest()
    )


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
    """What signs mail from `domain` (in A-labels), one per key; none when the tenant has no such domain."""
    row = await covering(tx, scope, domain=domain)
    if row is None:
        return []
    return [
        Signer(row.domain, key.selector, keyring.unseal(key.private_sealed, KEY_PURPOSE))
        for key in await _keys(tx, scope, row)
    ]


async def store_checks(
    tx: WriteTx, scope: Scope, *, domain: str, checks: Checks, now: datetime
) -> SendingDomain:
    """Keep what the DNS said; a resolver that was down does not take a verification away."""
    scope.require(Grant.MANAGE)
    row = (await get_domain(tx, scope, domain=domain)).domain
    row.checks, row.checked_at = checks.as_json(), now
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
