"""Forgetting a person (P16-02): what tells who they are is overwritten wherever it stands, rows and figures stay.

Of the address a keyed hash is kept as a suppression, so that a file that brings the person again does not bring
them back. The same statements serve contacts whose time in the trash is over, many at once: of those a hash is
kept only where they had left or were suppressed, for a tenant may delete somebody and add them again.
Messages that were on their way and links in old messages go on making rows: `again` is the chore that empties
what came later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.search import index as search_index
from mailengine.domain.contacts.states import LEFT
from mailengine.domain.contacts.suppression import erased_hash
from mailengine.domain.privacy.holdings import ERASED_DOMAIN, Holding, People, holdings
from mailengine.domain.privacy.quotes import unquote
from mailengine.mail.address import parse_address
from mailengine.models import (
    AuditEntry,
    Contact,
    EmailEvent,
    Job,
    JobKind,
    JobState,
    Message,
    MessageStatus,
    Suppression,
    SuppressionKind,
)

_LATE = timedelta(days=3)  # how long after an erasure `again` looks for what came of messages under way
REASON = "erased"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done: rows overwritten or removed, by table."""

    contact_id: int | None
    rows: dict[str, int]


async def erase(tx: WriteTx, scope: Scope, *, address: str, hash_key: bytes, now: datetime) -> Erased:
    """Forget whoever has this address, in the tables; their files are `files.forget`.

    Raises NotFound when nothing is held of them, Conflict while an import might write down rows of theirs.
    """
    scope.require(Grant.MANAGE)
    wanted = parse_address(address)
    await check_no_import(tx, scope)
    theirs = owned(Contact, scope).where(col(Contact.email_key) == wanted.key)
    contact = await tx.scalar(theirs)
    ids = [] if contact is None or contact.id is None else [contact.id]
    spellings = {wanted.email} | ({contact.email} if contact else set())
    # Jobs before the contact: so does a job that is at work, and neither waits for the other.
    rows = await unquote(tx, scope, {address.strip(), wanted.key, *spellings})
    await tx.execute(theirs.with_for_update())
    rows |= await _empty(tx, scope, People(ids, [wanted.key], spellings), now=now)
    if not rows:
        raise NotFound(f"there is no trace of {address}")
    await _remember(tx, scope, [wanted.key], hash_key=hash_key, now=now)
    found = Erased(ids[0] if ids else None, rows)
    await audit.record(tx, scope, "contact.erase", "contact", found.contact_id, now=now, rows=rows)
    return found


async def erase_deleted(
    tx: WriteTx, scope: Scope, *, before: datetime, limit: int, hash_key: bytes, now: datetime
) -> int:
    """Forget up to `limit` contacts that were deleted before that moment (P16-03); returns how many."""
    rows = (await tx.execute(_due(scope, before, limit).with_for_update())).all()
    if not rows:
        return 0
    keys = [row.email_key for row in rows]
    suppressed = set(
        await tx.scalars(
            sa.select(col(Suppression.value)).where(
                tenant_of(Suppression) == scope.tenant_id,
                col(Suppression.kind) == SuppressionKind.ADDRESS,
                col(Suppression.value).in_(keys),
            )
        )
    )
    people = People([row.id for row in rows], keys, [row.email for row in rows])
    await unquote(tx, scope, {*people.keys, *people.addresses})
    await _empty(tx, scope, people, now=now)
    await _remove_unmailed(tx, scope, people.contact_ids)
    kept = [row.email_key for row in rows if row.state in LEFT or row.email_key in suppressed]
    await _remember(tx, scope, kept, hash_key=hash_key, now=now)
    await audit.record(tx, scope, "contact.erase", "contact", None, now=now, count=len(rows))
    return len(rows)


async def addresses_due(tx: ReadTx, scope: Scope, *, before: datetime, limit: int) -> list[str]:
    """Of those whom `erase_deleted` would forget next, for what is not in tables."""
    return [row.email for row in await tx.execute(_due(scope, before, limit))]


def _due(scope: Scope, before: datetime, limit: int) -> sa.Select[int | None, str, str, str]:
    return (
        sa.select(col(Contact.id), col(Contact.email_key), col(Contact.email), col(Contact.state))
        .where(
            tenant_of(Contact) == scope.tenant_id,
            col(Contact.deleted_at) < before,
            col(Contact.erased_at).is_(None),
        )
        .order_by(col(Contact.id))
        .limit(limit)
    )


async def again(tx: WriteTx, scope: Scope, *, now: datetime) -> int:
    """Empty what came in of people who were erased before: words of servers, traces of clicks."""
    contacts, events = table_of(Contact).c, table_of(EmailEvent).c
    erased = sa.and_(contacts.tenant_id == scope.tenant_id, contacts.erased_at.is_not(None))
    traced = sa.exists().where(
        events.contact_id == contacts.id, events.tenant_id == scope.tenant_id, events.ip != ""
    )
    late = contacts.erased_at > now - _LATE
    ids = (await tx.scalars(sa.select(contacts.id).where(erased, sa.or_(late, traced)))).all()
    if ids:
        await _empty(tx, scope, People(ids), now=now)
    return len(ids)


async def tenants_with_erased(tx: ReadTx, _instance: InstanceScope) -> Sequence[int]:
    query = sa.select(col(Contact.tenant_id)).where(col(Contact.erased_at).is_not(None)).distinct()
    return (await tx.scalars(query)).all()


async def tenants_with_deleted(tx: ReadTx, _instance: InstanceScope, *, before: datetime) -> Sequence[int]:
    """whose trash holds contacts from before that moment."""
    query = (
        sa.select(col(Contact.tenant_id))
        .where(col(Contact.deleted_at) < before, col(Contact.erased_at).is_(None))
        .distinct()
    )
    return (await tx.scalars(query)).all()


async def check_no_import(tx: ReadTx, scope: Scope) -> None:
    """Raises Conflict while an import might write down rows of a person; one that was killed might be resumed."""
    running = await tx.scalar(
        owned(Job, scope)
        .where(col(Job.kind).in_((JobKind.IMPORT, JobKind.UPLOAD)), col(Job.state) == JobState.RUNNING)
        .limit(1)
    )
    if running is not None:
        raise Conflict(
            f"import {running.id} is running, or was killed; erase the person when it is done, or end it with"
            f" `mailengine jobs cancel {running.id}`"
        )


async def _withdraw(tx: WriteTx, scope: Scope, people: People) -> None:
    """Messages that wait for them are not sent; one that is on the wire would come back with the server's words."""
    (holding,) = [each for each in holdings() if each.table is table_of(Message)]
    theirs, status = holding.theirs(scope, people), holding.table.c.status
    await tx.execute(sa.delete(holding.table).where(theirs, status == MessageStatus.QUEUED))
    on_the_wire = sa.select(holding.table.c.id).where(theirs, status == MessageStatus.CLAIMED).limit(1)
    if await tx.scalar(on_the_wire) is not None:
        raise Conflict("a message to this person is just being sent; erase them in a minute")


async def _empty(tx: WriteTx, scope: Scope, people: People, *, now: datetime) -> dict[str, int]:
    """Overwrite or remove every row of theirs; the contact itself last, for rows are found by it."""
    await _withdraw(tx, scope, people)
    rows: dict[str, int] = {}
    for holding in sorted(holdings(), key=lambda each: each.table is table_of(Contact)):
        touched = await _empty_table(tx, scope, holding, people, now)
        if touched:
            rows[holding.table.name] = touched
    if people.contact_ids:
        await _empty_audit(tx, scope, people.contact_ids)
        await search_index.forget(tx, people.contact_ids)
    return rows


async def _empty_table(tx: WriteTx, scope: Scope, holding: Holding, people: People, now: datetime) -> int:
    table, theirs = holding.table, holding.theirs(scope, people)
    if table is table_of(Suppression) or not holding.columns:
        # A tie to a list or tag says something of the person, and nothing without them.
        if table is table_of(Suppression):
            theirs = sa.and_(theirs, table.c.kind == SuppressionKind.ADDRESS)
        statement: sa.Delete | sa.Update = sa.delete(table).where(theirs)
    else:
        values = holding.emptied()
        if table is table_of(Contact):
            values |= {"deleted_at": sa.func.coalesce(table.c.deleted_at, now), "erased_at": now}
            values |= {"consent_at": None, "quiet_since": None, "updated_at": now}
        statement = sa.update(table).where(theirs).values(values)
    connection = await tx.connection()
    return (await connection.execute(statement)).rowcount


async def _empty_audit(tx: WriteTx, scope: Scope, contact_ids: Collection[int]) -> None:
    """Who follows a link in a message is its recipient: the address they came from is theirs."""
    table = table_of(AuditEntry)
    await tx.execute(
        sa.update(table)
        .where(
            table.c.tenant_id == scope.tenant_id,
            table.c.resource == "contact",
            table.c.resource_id.in_(contact_ids),
            table.c.actor == "link",
        )
        .values(address="")
    )


async def _remove_unmailed(tx: WriteTx, scope: Scope, contact_ids: Collection[int]) -> None:
    """Whom no ledger speaks of need not stay as an empty row."""
    contacts = table_of(Contact)
    ties = [
        sa.exists().where(key.parent == contacts.c.id)
        for holding in holdings()
        for key in holding.table.foreign_keys
        if key.column.table is contacts and key.ondelete != "CASCADE"
    ]
    await tx.execute(
        sa.delete(contacts).where(
            contacts.c.tenant_id == scope.tenant_id, contacts.c.id.in_(contact_ids), ~sa.or_(*ties)
        )
    )


async def _remember(
    tx: WriteTx, scope: Scope, keys: Sequence[str], *, hash_key: bytes, now: datetime
) -> None:
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "kind": SuppressionKind.HASH,
            "value": erased_hash(hash_key, key),
            "reason": REASON,
            "source": "",
            "created_at": now,
        }
        for key in keys
        if not key.endswith(f"@{ERASED_DOMAIN}")
    ]
    if rows:
        await tx.execute(insert_new(tx, Suppression), rows)
