"""All that is known to have happened with one contact, newest first (P2-07, P6-04): put together from the ledger, the
events, the consents, the lists and the audit log when it is asked for, never stored.

Each source gives its newest rows before the cursor, and the pages are the merged order of (moment, source, id): so
page 10,000 costs what page 1 costs, and rows of one moment are neither lost nor shown twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import PageRequest, decode_cursor, encode_cursor
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.models import (
    AuditEntry,
    Campaign,
    Consent,
    Contact,
    ContactList,
    EmailEvent,
    EmailTask,
    ListMember,
    Snapshot,
    TaskStatus,
)

Position = tuple[datetime, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind` reads like `sent`, `click`, `consent given`, `joined`, `unsubscribed`; `what` names the campaign or list
    it concerns, `details` hold the rest."""

    at: datetime
    kind: str
    what: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    items: Sequence[Entry]
    next: str | None


async def timeline(tx: ReadTx, scope: Scope, *, contact_id: int, page: PageRequest) -> Timeline:
    """A page of what happened; the contact itself was looked up by the caller."""
    before = _position(page.cursor) if page.cursor else None
    found: list[tuple[Position, Entry]] = []
    for rank, source in enumerate(_SOURCES):
        found += await source(tx, scope, contact_id, rank, before, page.limit + 1)
    found.sort(key=lambda pair: pair[0], reverse=True)
    shown, more = found[: page.limit], len(found) > page.limit
    cursor = None
    if more:
        at, rank, number = shown[-1][0]
        cursor = encode_cursor([at.isoformat(), rank, number])
    return Timeline([entry for _position, entry in shown], cursor)


def _position(cursor: str) -> Position:
    at, rank, number = decode_cursor(cursor, length=3)
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError as error:
        raise InvalidInput("this page cursor is not valid; start again from the first page") from error
    if moment.tzinfo is None or type(rank) is not int or type(number) is not int or abs(number) >= 2**63:
        raise InvalidInput("this page cursor belongs to another list; start again from the first page")
    return moment, rank, number


def _before(at: Any, number: Any, rank: int, position: Position | None) -> sa.ColumnElement[bool]:
    if position is None:
        return sa.true()
    moment, their_rank, last = position
    if rank != their_rank:
        return at <= moment if rank < their_rank else at < moment  # type: ignore[no-any-return]
    return sa.or_(at < moment, sa.and_(at == moment, number < last))


async def _messages(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    tasks, campaigns = table_of(EmailTask).c, table_of(Campaign).c
    rows = await tx.execute(
        sa.select(tasks.id, tasks.finished_at, tasks.status, tasks.last_reply, campaigns.name)
        .join(table_of(Campaign), campaigns.id == tasks.campaign_id)
        .where(
            tasks.tenant_id == scope.tenant_id,
            tasks.contact_id == contact_id,
            tasks.finished_at.is_not(None),
            _before(tasks.finished_at, tasks.id, rank, before),
        )
        .order_by(tasks.finished_at.desc(), tasks.id.desc())
        .limit(limit)
    )
    kinds = {TaskStatus.FAILED: "bounced", TaskStatus.DOUBT: "in doubt"}
    return [
        (
            (row.finished_at, rank, row.id),
            Entry(row.finished_at, kinds.get(row.status, row.status), row.name, {"words": row.last_reply}),
        )
        for row in rows
    ]


async def _events(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    events, campaigns, snapshots = table_of(EmailEvent).c, table_of(Campaign).c, table_of(Snapshot).c
    rows = (
        await tx.execute(
            sa.select(events.id, events.at, events.kind, events.link, campaigns.name, campaigns.snapshot_id)
            .join(table_of(Campaign), campaigns.id == events.campaign_id)
            .where(
                events.tenant_id == scope.tenant_id,
                events.contact_id == contact_id,
                _before(events.at, events.id, rank, before),
            )
            .order_by(events.at.desc(), events.id.desc())
            .limit(limit)
        )
    ).all()
    wanted = {row.snapshot_id for row in rows if row.link is not None}
    links: dict[int, list[str]] = {}
    if wanted:
        found = await tx.execute(
            sa.select(snapshots.id, snapshots.links).where(
                snapshots.tenant_id == scope.tenant_id, snapshots.id.in_(wanted)
            )
        )
        links = {row.id: row.links for row in found}
    entries = []
    for row in rows:
        urls = links.get(row.snapshot_id, [])
        known = row.link is not None and 0 <= row.link < len(urls)
        details = {"url": urls[row.link]} if known else {}
        entries.append(((row.at, rank, row.id), Entry(row.at, row.kind, row.name, details)))
    return entries


async def _consents(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    consents = table_of(Consent).c
    rows = await tx.execute(
        sa.select(consents.id, consents.at, consents.act, consents.source, consents.ip)
        .where(
            consents.tenant_id == scope.tenant_id,
            consents.contact_id == contact_id,
            _before(consents.at, consents.id, rank, before),
        )
        .order_by(consents.at.desc(), consents.id.desc())
        .limit(limit)
    )
    return [
        ((row.at, rank, row.id), Entry(row.at, f"consent {row.act}", row.source, {"ip": row.ip}))
        for row in rows
    ]


async def _lists(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    members, lists = table_of(ListMember).c, table_of(ContactList).c
    rows = await tx.execute(
        sa.select(members.list_id, members.joined_at, members.state, lists.name)
        .join(table_of(ContactList), lists.id == members.list_id)
        .where(
            members.tenant_id == scope.tenant_id,
            members.contact_id == contact_id,
            lists.deleted_at.is_(None),
            _before(members.joined_at, members.list_id, rank, before),
        )
        .order_by(members.joined_at.desc(), members.list_id.desc())
        .limit(limit)
    )
    return [
        (
            (row.joined_at, rank, row.list_id),
            Entry(row.joined_at, "joined", row.name, {"state now": row.state}),
        )
        for row in rows
    ]


async def _acts(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    entries = table_of(AuditEntry).c
    rows = await tx.execute(
        sa.select(entries.id, entries.at, entries.action, entries.actor, entries.details)
        .where(
            entries.tenant_id == scope.tenant_id,
            entries.resource == sa.literal_column("'contact'"),  # literal: the partial index must match
            entries.resource_id == contact_id,
            _before(entries.at, entries.id, rank, before),
        )
        .order_by(entries.at.desc(), entries.id.desc())
        .limit(limit)
    )
    return [
        (
            (row.at, rank, row.id),
            Entry(row.at, row.action.removeprefix("contact."), "", {"by": row.actor, **row.details}),
        )
        for row in rows
    ]


async def _beginning(
    tx: ReadTx, scope: Scope, contact_id: int, rank: int, before: Position | None, limit: int
) -> list[tuple[Position, Entry]]:
    """The contact's first day, which for one that a file brought no audit entry tells of."""
    contacts = table_of(Contact).c
    rows = await tx.execute(
        sa.select(contacts.id, contacts.created_at, contacts.consent_source).where(
            contacts.tenant_id == scope.tenant_id,
            contacts.id == contact_id,
            _before(contacts.created_at, contacts.id, rank, before),
        )
    )
    return [
        ((row.created_at, rank, row.id), Entry(row.created_at, "added", row.consent_source)) for row in rows
    ]


Source = Callable[[ReadTx, Scope, int, int, Position | None, int], Awaitable[list[tuple[Position, Entry]]]]
# In this order things of one moment happened: what comes later here is shown first.
_SOURCES: tuple[Source, ...] = (_beginning, _lists, _consents, _acts, _messages, _events)
