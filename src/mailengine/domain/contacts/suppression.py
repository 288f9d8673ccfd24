"""Addresses, domains and erased people that must not be mailed, whatever a contact's state says.

Kinds: `address` holds the address's key, `domain` its A-labels, `hash` the keyed hash of the key of a person
who asked to be forgotten: we can recognise them in a file without keeping who they are.
Looked up at import, at launch (`audience.py`; hashes in `campaigns/expand.py`) and at send. Suppressing an address
shows on its contact as the state `suppressed`; only those who could be mailed get it, so that lifting it can give
`subscribed` back.
"""

import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.insert import insert_new
from mailengine.db.keyset import keyset_page
from mailengine.db.prepared import Prepared
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.domain.contacts.states import move_all
from mailengine.mail.address import parse_address
from mailengine.models import Contact, ContactState, Suppression, SuppressionKind

HASH_PURPOSE = "suppression"  # of Keyring.derive
_LOOKUP = 5000  # keys a statement; PostgreSQL takes 32,767 parameters, SQLite 32,766

_FEW = 200  # keys for which asking at once is as quick as asking whether there is anything to ask for


@dataclass(frozen=True, slots=True)
class Target:
    """What is suppressed, in the form that is stored."""

    kind: SuppressionKind
    value: str


class Entry(NamedTuple):
    """A row of the list."""

    kind: str
    value: str
    reason: str
    source: str
    created_at: datetime


def erased_hash(hash_key: bytes, email_key: str) -> str:
    """What is kept of a person who was erased; `hash_key` is `keyring.derive_for_ever(HASH_PURPOSE)`."""
    return hmac.digest(hash_key, email_key.encode(), "sha256").hex()


def domain_of(email_key: str) -> str:
    """The domain of an address key, as A-labels."""
    return email_key.rpartition("@")[2]


def parse_target(text: str) -> Target:
    """An address, or a whole domain as `example.org` or `@example.org`; raises InvalidInput."""
    text = text.strip()
    domain = text.removeprefix("@")
    if "@" in domain:
        return Target(SuppressionKind.ADDRESS, parse_address(text).key)
    try:
        return Target(SuppressionKind.DOMAIN, parse_address(f"postmaster@{domain}").domain)
    except InvalidInput as error:
        raise InvalidInput(f"{text!r} is neither an address nor a domain") from error


async def suppress(
    tx: WriteTx, scope: Scope, target: Target, *, reason: str, source: str = "", now: datetime
) -> bool:
    """Never mail this again; False when it was suppressed already."""
    scope.require(Grant.EDIT)
    return bool(await suppress_all(tx, scope, [target], reason=reason, source=source, now=now))


async def suppress_all(
    tx: WriteTx, scope: Scope, targets: Iterable[Target], *, reason: str, source: str = "", now: datetime
) -> int:
    """Bulk form for bounces and imports of suppression lists; returns how many are new."""
    wanted = {(target.kind, target.value) for target in targets}
    known: set[tuple[SuppressionKind, str]] = set()
    for kind in SuppressionKind:
        values = [value for this, value in wanted if this is kind]
        known |= {(kind, value) for value in await _values(tx, scope, kind, values)}
    new = sorted(wanted - known)
    if not new:
        return 0
    common = {
        "tenant_id": scope.tenant_id, "reason": reason[:50], "source": source[:200], "created_at": now
    }  # fmt: skip
    rows = [{"kind": kind, "value": value, **common} for kind, value in new]
    await tx.execute(insert_new(tx, Suppression), rows)
    keys = [value for kind, value in new if kind is SuppressionKind.ADDRESS]
    for start in range(0, len(keys), _LOOKUP):
        chosen = col(Contact.email_key).in_(keys[start : start + _LOOKUP])
        await move_all(tx, scope, chosen, ContactState.SUPPRESSED, now)
    await audit.record(tx, scope, "suppression.add", "suppression", None, now=now, count=len(new))
    return len(new)


async def unsuppress(
    tx: WriteTx, scope: Scope, target: Target, *, now: datetime, hash_key: bytes | None = None
) -> None:
    """Allow mail again; raises NotFound when the target is not suppressed itself (its domain may be). A
    contact is without an entry when it was the file that brought them which said so.

    With `hash_key`, also of an address whose person was erased: they came back and asked for mail.
    """
    scope.require(Grant.EDIT)
    itself = sa.and_(col(Suppression.kind) == target.kind, col(Suppression.value) == target.value)
    if hash_key is not None and target.kind is SuppressionKind.ADDRESS:
        hashed = erased_hash(hash_key, target.value)
        itself |= sa.and_(col(Suppression.kind) == SuppressionKind.HASH, col(Suppression.value) == hashed)
    removed = await tx.execute(
        sa.delete(Suppression)
        .where(tenant_of(Suppression) == scope.tenant_id, itself)
        .returning(col(Suppression.id))
    )
    listed, moved = removed.first() is not None, 0
    by_address = target.kind is SuppressionKind.ADDRESS
    theirs = col(Contact.email_key) == target.value
    if by_address and (listed or not await suppressed(tx, scope, [target.value], by_address=False)):
        suppressed_now = sa.and_(theirs, col(Contact.state) == ContactState.SUPPRESSED)
        moved = await move_all(tx, scope, suppressed_now, ContactState.SUBSCRIBED, now)
    if not listed and not moved:
        raise NotFound(f"{target.value} is not on the suppression list")
    if by_address:
        # Bounces from before do not bring the entry back.
        await tx.execute(
            sa.update(Contact).where(tenant_of(Contact) == scope.tenant_id, theirs).values(kept_at=now)
        )
    await audit.record(tx, scope, "suppression.remove", "suppression", None, now=now)


async def unsuppress_ids(tx: WriteTx, scope: Scope, *, ids: Collection[int], now: datetime) -> int:
    """Allow mail again to those entries, which a person picked from the list; returns how many. The hash of
    somebody who was erased stays: only they can take back that they asked to be forgotten."""
    scope.require(Grant.EDIT)
    rows = await tx.scalars(
        owned(Suppression, scope).where(
            col(Suppression.id).in_(ids), col(Suppression.kind) != SuppressionKind.HASH
        )
    )
    targets = [Target(SuppressionKind(row.kind), row.value) for row in rows]
    for target in targets:
        await unsuppress(tx, scope, target, now=now)
    return len(targets)


async def lift(
    tx: WriteTx, scope: Scope, keys: Collection[str], *, hash_key: bytes, now: datetime
) -> list[Entry]:
    """Allow mail to these addresses again, those of erased people too; returns the entries that went. Whole
    domains stay: nobody meant them by naming an address."""
    scope.require(Grant.MANAGE)
    wanted = {SuppressionKind.ADDRESS: list(keys)}
    if await has_hashes(tx, scope):
        wanted[SuppressionKind.HASH] = [erased_hash(hash_key, key) for key in keys]
    gone: list[Entry] = []
    entry = [col(getattr(Suppression, name)) for name in Entry._fields]
    for kind, values in wanted.items():
        for start in range(0, len(values), _LOOKUP):
            removed = await tx.execute(
                sa.delete(Suppression)
                .where(
                    tenant_of(Suppression) == scope.tenant_id,
                    col(Suppression.kind) == kind,
                    col(Suppression.value).in_(values[start : start + _LOOKUP]),
                )
                .returning(*entry)
            )
            gone += [Entry(*row) for row in removed]
    if gone:
        await audit.record(tx, scope, "suppression.remove", "suppression", None, now=now, count=len(gone))
    return gone


async def named(tx: ReadTx, scope: Scope, keys: Collection[str], *, hash_key: bytes) -> set[str]:
    """Those of the address keys that `lift` would free."""
    addresses = await _values(tx, scope, SuppressionKind.ADDRESS, list(keys))
    return addresses | await erased(tx, scope, keys, hash_key=hash_key)


async def kinds_in_use(tx: ReadTx, scope: Scope) -> frozenset[str]:
    """The kinds of which the tenant has any entry: with none, nobody needs to be looked up."""
    return frozenset([row[0] for row in await _in_use().rows(tx, {"tenant": scope.tenant_id})])


@cache
def _in_use() -> Prepared:
    entries = table_of(Suppression).c
    asked = [
        sa.select(sa.literal(kind.value, sa.Text)).where(
            sa.exists().where(entries.tenant_id == sa.bindparam("tenant"), entries.kind == kind)
        )
        for kind in SuppressionKind
    ]
    return Prepared(sa.union_all(*asked))


async def suppressed(tx: ReadTx, scope: Scope, keys: Collection[str], *, by_address: bool = True) -> set[str]:
    """Those of the address keys whose address or domain is suppressed; `by_address=False`: whose domain is."""
    addresses = await _values(tx, scope, SuppressionKind.ADDRESS, list(keys)) if by_address else set()
    if len(keys) > _FEW and not await _any(tx, scope, SuppressionKind.DOMAIN):
        return addresses
    domains = {domain_of(key) for key in keys}
    by_domain = await _values(tx, scope, SuppressionKind.DOMAIN, list(domains))
    return {key for key in keys if key in addresses or domain_of(key) in by_domain}


async def erased(tx: ReadTx, scope: Scope, keys: Collection[str], *, hash_key: bytes) -> set[str]:
    """Those of the address keys whose person asked to be forgotten: they must not be stored again."""
    if not await has_hashes(tx, scope):  # the usual case; spares a hash for each row of a file
        return set()
    hashes = {erased_hash(hash_key, key): key for key in keys}
    return {hashes[value] for value in await known_hashes(tx, scope, list(hashes))}


async def has_hashes(tx: ReadTx, scope: Scope) -> bool:
    """Whether anybody was erased, or was on a list of hashes."""
    return await _any(tx, scope, SuppressionKind.HASH)


async def known_hashes(tx: ReadTx, scope: Scope, hashes: list[str]) -> set[str]:
    """Those of the hashes that are suppressed."""
    return await _values(tx, scope, SuppressionKind.HASH, hashes)


async def list_suppressions(
    tx: ReadTx,
    scope: Scope,
    *,
    page: PageRequest,
    kind: SuppressionKind | None = None,
    reason: str = "",
    text: str = "",
) -> Page[Suppression]:
    """Newest first; `text` restricts to addresses and domains that hold it."""
    query = owned(Suppression, scope)
    if reason:
        query = query.where(col(Suppression.reason) == reason)
    if text:
        query = query.where(contains(col(Suppression.value), text))
    if kind is not None:
        query = query.where(col(Suppression.kind) == kind)
    return await keyset_page(tx, query, col(Suppression.id), page, newest_first=True)


async def _values(tx: ReadTx, scope: Scope, kind: SuppressionKind, values: list[str]) -> set[str]:
    found: set[str] = set()
    if len(values) > _FEW and not await _any(tx, scope, kind):
        return found
    for start in range(0, len(values), _LOOKUP):
        query = sa.select(col(Suppression.value)).where(
            tenant_of(Suppression) == scope.tenant_id,
            col(Suppression.kind) == kind,
            col(Suppression.value).in_(values[start : start + _LOOKUP]),
        )
        found |= set((await tx.scalars(query)).all())
    return found


async def _any(tx: ReadTx, scope: Scope, kind: SuppressionKind) -> bool:
    return kind in await kinds_in_use(tx, scope)
