"""What people agreed to by themselves: the act, with the words that they saw, and where it stands now."""

from collections.abc import Sequence
from datetime import datetime

from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts import consents
from mailengine.domain.contacts.consents import Act
from mailengine.domain.contacts.lists import set_membership
from mailengine.models import ConsentAct, Contact, MemberState


async def agree(
    tx: WriteTx,
    scope: Scope,
    contact: Contact,
    list_ids: Sequence[int],
    *,
    source: str,
    wording: str,
    ip: str,
    now: datetime,
) -> None:
    """On these lists from now on, by an act of their own."""
    acts = [Act(ConsentAct.GIVEN, source, ip, wording, list_id) for list_id in list_ids]
    await _join(tx, scope, contact, list_ids, MemberState.SUBSCRIBED, acts, now)


async def withdraw(
    tx: WriteTx,
    scope: Scope,
    contact: Contact,
    list_ids: Sequence[int],
    *,
    source: str,
    ip: str,
    now: datetime,
) -> None:
    """Off these lists from now on."""
    acts = [Act(ConsentAct.WITHDRAWN, source, ip, list_id=list_id) for list_id in list_ids]
    await _join(tx, scope, contact, list_ids, MemberState.UNSUBSCRIBED, acts, now)


async def _join(
    tx: WriteTx,
    scope: Scope,
    contact: Contact,
    list_ids: Sequence[int],
    state: MemberState,
    acts: Sequence[Act],
    now: datetime,
) -> None:
    contact_id = contact.id or 0
    await set_membership(tx, scope, contact_id=contact_id, list_ids=list_ids, state=state, now=now)
    await consents.record_all(tx, scope, [(contact_id, act) for act in acts], now=now)
    contact.updated_at = now
