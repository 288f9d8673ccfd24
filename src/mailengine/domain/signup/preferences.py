"""The preference centre: which lists a person is on, chosen by themselves with the link of a message."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import ContactId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts.states import admit, unsubscribe
from mailengine.domain.signup.consent import agree, withdraw
from mailengine.models import Contact, ContactList, ContactState, ListMember, MemberState

SOURCE = "preference centre"


@dataclass(frozen=True, slots=True)
class Preference:
    """A list that the person is on, was on, or may join."""

    list_id: int
    name: str
    description: str
    on: bool


async def preferences_of(tx: ReadTx, scope: Scope, *, contact_id: int) -> list[Preference]:
    """Public lists, and those that they are on. Nothing is on for somebody who wants no mail at all."""
    lists, members = table_of(ContactList).c, table_of(ListMember).c
    contact = await _contact(tx, scope, contact_id)
    theirs = sa.and_(
        members.list_id == lists.id, members.contact_id == contact_id, members.tenant_id == scope.tenant_id
    )
    rows = await tx.execute(
        sa.select(lists.id, lists.name, lists.description, members.state)
        .select_from(sa.outerjoin(ContactList, ListMember, theirs))
        .where(lists.tenant_id == scope.tenant_id, lists.deleted_at.is_(None))
        .where(sa.or_(lists.public.is_(True), members.state.is_not(None)))
        .order_by(lists.name)
    )
    mailed = contact.state == ContactState.SUBSCRIBED
    return [
        Preference(row.id, row.name, row.description, mailed and row.state == MemberState.SUBSCRIBED)
        for row in rows
    ]


async def choose(
    tx: WriteTx, scope: Scope, *, contact_id: ContactId, wanted: Collection[int], ip: str, now: datetime
) -> list[Preference]:
    """On the wanted lists and off all others that were shown; with none it is as if they unsubscribed from all.
    Ids that were not shown are left out."""
    shown = await preferences_of(tx, scope, contact_id=contact_id)
    joins = [each for each in shown if each.list_id in wanted and not each.on]
    leaves = [each for each in shown if each.list_id not in wanted and each.on]
    contact = await _contact(tx, scope, contact_id)
    if joins:
        await admit(tx, scope, contact, now=now, reason=SOURCE)
        wording = "I want to get: " + ", ".join(each.name for each in joins)
        ids = _ids(joins)
        await agree(tx, scope, contact, ids, source=SOURCE, wording=wording, ip=ip, now=now)
    await withdraw(tx, scope, contact, _ids(leaves), source=SOURCE, ip=ip, now=now)
    if not any(each.list_id in wanted for each in shown):
        await unsubscribe(tx, scope, contact_id=contact_id, now=now, reason=SOURCE)
    return await preferences_of(tx, scope, contact_id=contact_id)


def _ids(chosen: Sequence[Preference]) -> list[int]:
    return [each.list_id for each in chosen]


async def _contact(tx: ReadTx, scope: Scope, contact_id: int) -> Contact:
    query = owned(Contact, scope).where(col(Contact.id) == contact_id, col(Contact.erased_at).is_(None))
    found = await tx.scalar(query)
    if found is None:
        raise NotFound("this link leads nowhere")
    return found
