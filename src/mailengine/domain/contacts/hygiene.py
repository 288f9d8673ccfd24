"""List hygiene (P5-08): addresses that keep bouncing are suppressed, people who give no sign of life are first due
for a re-engagement message (`quiet_since`) and later left out of campaigns (`inactive`) until somebody decides.

A sign of life is an open, a click, coming back, joining, agreeing, or somebody's decision to go on (`kept_at`).
Time without one counts whether or not anything was sent: an address nobody wrote to for a year is as doubtful as one
that never answers. Nobody becomes active again by these rules alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.editing import get_by_id
from mailengine.domain.contacts.queries import living
from mailengine.domain.contacts.states import move_ids
from mailengine.domain.contacts.suppression import Target, suppress_all
from mailengine.domain.contacts.upkeep import Rules
from mailengine.models import (
    Contact,
    ContactState,
    DeadLetter,
    EmailEvent,
    EventKind,
    Suppression,
    SuppressionKind,
)

PAGE = 5000
_BOUNCES = ("recipient", "mailbox_full")  # what a server said of the mailbox; all else may be our fault
_SIGNS = (EventKind.OPEN, EventKind.CLICK, EventKind.RESUBSCRIBE)


async def suppress_bouncing(tx: WriteTx, scope: Scope, rules: Rules, *, now: datetime) -> int:
    """Suppress addresses that bounced too often of late, and since somebody decided to mail them all the same;
    returns how many."""
    letters, contacts, held = table_of(DeadLetter).c, table_of(Contact).c, table_of(Suppression).c
    often = (
        sa.select(letters.contact_id)
        .join_from(table_of(DeadLetter), table_of(Contact), contacts.id == letters.contact_id)
        .where(
            letters.tenant_id == scope.tenant_id,
            letters.at > now - timedelta(days=rules.bounce_days),
            sa.or_(contacts.kept_at.is_(None), letters.at > contacts.kept_at),
            letters.cause.in_(_BOUNCES),
        )
        .group_by(letters.contact_id)
        .having(sa.func.count() >= rules.bounces)
    )
    already = sa.exists().where(
        held.tenant_id == scope.tenant_id,
        held.kind == SuppressionKind.ADDRESS,
        held.value == contacts.email_key,
    )
    rows = await tx.execute(
        sa.select(contacts.id, contacts.email_key).where(
            contacts.tenant_id == scope.tenant_id,
            contacts.id.in_(often),
            contacts.erased_at.is_(None),
            ~already,
        )
    )
    found = rows.all()
    if found:
        targets = [Target(SuppressionKind.ADDRESS, key) for _id, key in found]
        await suppress_all(tx, scope, targets, reason="bounces", source="hygiene", now=now)
        ids = [identity for identity, _key in found]
        await audit.record_all(tx, scope, "contact.suppressed", "contact", ids, now=now, reason="bounces")
    return len(found)


async def judge_page(
    tx: WriteTx, scope: Scope, rules: Rules, *, after_id: int, now: datetime
) -> tuple[int, dict[str, int]]:
    """One page of contacts by id: who became quiet, inactive, or awake again. Returns the last id looked at (0 at the
    end) and how many of each."""
    contacts = table_of(Contact).c
    ids = sa.select(contacts.id).where(contacts.tenant_id == scope.tenant_id, contacts.id > after_id)
    last = await tx.scalar(sa.select(sa.func.max(ids.order_by(contacts.id).limit(PAGE).subquery().c.id)))
    if last is None:
        return 0, {}
    page = sa.and_(
        contacts.tenant_id == scope.tenant_id,
        contacts.id > after_id,
        contacts.id <= last,
        contacts.deleted_at.is_(None),
    )
    subscribed = sa.and_(page, contacts.state == ContactState.SUBSCRIBED)
    silent = _silent_since(scope, now - timedelta(days=rules.quiet_days))
    figures = {
        "awake": await _set(tx, sa.and_(page, contacts.quiet_since.is_not(None), ~silent), None),
        "quiet": await _set(tx, sa.and_(subscribed, contacts.quiet_since.is_(None), silent), now),
    }
    long = sa.and_(
        subscribed,
        contacts.quiet_since.is_not(None),
        _silent_since(scope, now - timedelta(days=rules.inactive_days)),
    )
    sleeping = (await tx.scalars(sa.select(contacts.id).where(long))).all()
    figures["inactive"] = await _sleep(tx, scope, sleeping, now)
    return int(last), {name: count for name, count in figures.items() if count}


async def quiet(tx: ReadTx, scope: Scope, *, page: PageRequest, inactive: bool = False) -> Page[Contact]:
    """Those who are due for a re-engagement message, or those who are left out already."""
    if inactive:
        query = living(scope).where(col(Contact.state) == ContactState.INACTIVE)
    else:
        query = living(scope).where(
            col(Contact.quiet_since).is_not(None), col(Contact.state) == ContactState.SUBSCRIBED
        )
    return await keyset_page(tx, query, col(Contact.id), page)


async def keep(tx: WriteTx, scope: Scope, *, contact_id: int, now: datetime) -> Contact:
    """Somebody decided to go on writing to them; raises Conflict for one who left or must not be mailed."""
    scope.require(Grant.EDIT)
    contact = await get_by_id(tx, scope, contact_id=contact_id)
    if contact.state not in (ContactState.INACTIVE, ContactState.SUBSCRIBED):
        raise Conflict(f"the contact is {contact.state}, and not for want of a sign of life")
    if contact.state == ContactState.INACTIVE:
        await move_ids(tx, scope, [contact_id], ContactState.SUBSCRIBED, now)
        contact.state = ContactState.SUBSCRIBED
    contact.quiet_since, contact.kept_at, contact.updated_at = None, now, now
    await audit.record(tx, scope, "contact.reactivate", "contact", contact_id, now=now)
    return contact


async def give_up(tx: WriteTx, scope: Scope, *, contact_id: int, now: datetime) -> Contact:
    """Suppress them for good."""
    scope.require(Grant.EDIT)
    contact = await get_by_id(tx, scope, contact_id=contact_id)
    target = Target(SuppressionKind.ADDRESS, contact.email_key)
    await suppress_all(tx, scope, [target], reason="inactive", source=scope.actor, now=now)
    await audit.record(tx, scope, "contact.suppressed", "contact", contact_id, now=now, reason="inactive")
    again = owned(Contact, scope).where(col(Contact.id) == contact_id)
    await tx.scalar(again.execution_options(populate_existing=True))  # its state was changed in SQL
    return contact


def _silent_since(scope: Scope, moment: datetime) -> sa.ColumnElement[bool]:
    contacts, events = table_of(Contact).c, table_of(EmailEvent).c
    sign = sa.exists().where(
        events.contact_id == contacts.id,
        events.tenant_id == scope.tenant_id,
        events.at > moment,
        events.kind.in_(_SIGNS),
    )
    return sa.and_(
        contacts.created_at <= moment,
        sa.or_(contacts.consent_at.is_(None), contacts.consent_at <= moment),
        sa.or_(contacts.kept_at.is_(None), contacts.kept_at <= moment),
        ~sign,
    )


async def _set(tx: WriteTx, chosen: sa.ColumnElement[bool], since: datetime | None) -> int:
    connection = await tx.connection()
    statement = sa.update(table_of(Contact)).where(chosen).values(quiet_since=since)
    return (await connection.execute(statement)).rowcount


async def _sleep(tx: WriteTx, scope: Scope, ids: Sequence[int], now: datetime) -> int:
    if not ids:
        return 0
    moved = await move_ids(tx, scope, ids, ContactState.INACTIVE, now)
    await audit.record_all(tx, scope, "contact.inactive", "contact", ids, now=now, reason="hygiene")
    return moved
