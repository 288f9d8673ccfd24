"""The last look before a message is composed: what was true at launch may not be true now.

Kill switches and paused campaigns are looked at between any two messages (`control.py`); this is the check of
the recipient, done for a whole claim in two queries. Decisions are values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.packed import Packed
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.suppression import erased, kinds_in_use, suppressed
from mailengine.domain.content.values import Person
from mailengine.domain.delivery.claim import of_claim
from mailengine.models import (
    Contact,
    ContactState,
    EmailTask,
    ListMember,
    MemberState,
    SuppressionKind,
)


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Send:
    """The message may go to this person."""

    person: Person


@dataclass(frozen=True, slots=True)
class Skip:
    """The message must not go out any more; `reason` is kept in the ledger."""

    reason: str


Decision = Send | Skip


async def look_again(
    tx: ReadTx, scope: Scope, *, claim_token: str, list_ids: Sequence[int], hash_key: bytes
) -> dict[int, Decision]:
    """A decision for each task of the claim, by task id; `hash_key` is `keyring.derive_for_ever(HASH_PURPOSE)`."""
    values = {"tenant": scope.tenant_id, "token": claim_token}
    lists = {_list_name(i): list_id for i, list_id in enumerate(list_ids)}
    rows = await _recipients(lists=len(lists)).rows(tx, {**values, **lists})
    kinds = await kinds_in_use(tx, scope)
    keys = [row[2] for row in rows] if kinds else []
    blocked = await suppressed(tx, scope, keys) if kinds - {SuppressionKind.HASH} else set()
    if SuppressionKind.HASH in kinds:
        blocked |= await erased(tx, scope, keys, hash_key=hash_key)
    return {row[0]: _decide(row, blocked) for row in rows}


@cache
def _recipients(*, lists: int) -> Packed:
    """Who a claim is to, and what is so now: tenant, token and the ids of so many lists."""
    tasks, contacts = table_of(EmailTask), table_of(Contact)
    return Packed(
        sa.select(
            tasks.c.id,
            tasks.c.email,
            contacts.c.email_key,
            contacts.c.first_name,
            contacts.c.last_name,
            contacts.c.attributes,
            contacts.c.state,
            contacts.c.deleted_at.is_not(None),
            _still_member(lists).label("member"),
        )
        .join(contacts, contacts.c.id == tasks.c.contact_id)
        .where(of_claim())
    )


def _decide(row: Sequence[Any], blocked: set[str]) -> Decision:
    # Taken apart at once: a row looks each name up, and this is done for every message.
    _id, email, key, first_name, last_name, attributes, state, is_deleted, is_member = row
    if is_deleted:
        return Skip("the contact was deleted")
    if state != ContactState.SUBSCRIBED:
        return Skip(f"the contact is {state}")
    if key in blocked:
        return Skip("the address is suppressed")
    if not is_member:
        return Skip("the contact left the list")
    # The address is the one frozen at launch, the rest is merged as it is now.
    return Send(Person(email, first_name, last_name, attributes))


def _list_name(index: int) -> str:
    return f"list_{index}"


def _still_member(lists: int) -> sa.ColumnElement[bool]:
    """On one of the lists still; of a campaign without lists, not gone from all that they were on."""
    members = table_of(ListMember)
    theirs = sa.exists().where(
        members.c.tenant_id == sa.bindparam("tenant"), members.c.contact_id == table_of(Contact).c.id
    )
    subscribed = theirs.where(members.c.state == MemberState.SUBSCRIBED)
    if lists:
        return subscribed.where(members.c.list_id.in_([sa.bindparam(_list_name(i)) for i in range(lists)]))
    return sa.or_(~theirs.where(members.c.state == MemberState.UNSUBSCRIBED), subscribed)
