"""What may become of a contact. The one place where a contact's state changes; an import never does.

Consent only comes from the person: nothing leads from `unsubscribed` or `complained` back to `subscribed` but
`resubscribe`, which stands for an act of theirs.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.ids import ContactId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, tenant_beside, tenant_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import consents
from mailengine.models import ConsentAct, Contact, ContactState, MemberState

S = ContactState
TRANSITIONS: dict[ContactState, frozenset[ContactState]] = {
    S.SUBSCRIBED: frozenset({S.UNSUBSCRIBED, S.BOUNCED, S.COMPLAINED, S.INACTIVE, S.SUPPRESSED}),
    S.UNCONFIRMED: frozenset({S.SUBSCRIBED, S.UNSUBSCRIBED, S.BOUNCED, S.COMPLAINED, S.SUPPRESSED}),
    S.INACTIVE: frozenset({S.SUBSCRIBED, S.UNSUBSCRIBED, S.BOUNCED, S.COMPLAINED, S.SUPPRESSED}),
    S.SUPPRESSED: frozenset({S.SUBSCRIBED, S.UNSUBSCRIBED, S.COMPLAINED}),
    S.BOUNCED: frozenset({S.SUBSCRIBED, S.UNSUBSCRIBED, S.COMPLAINED}),
    S.UNSUBSCRIBED: frozenset({S.SUBSCRIBED, S.COMPLAINED}),
    S.COMPLAINED: frozenset({S.SUBSCRIBED}),
}
WITHDREW = frozenset({S.UNSUBSCRIBED, S.COMPLAINED})  # by an act of their own
LEFT = frozenset({S.UNSUBSCRIBED, S.BOUNCED, S.COMPLAINED, S.SUPPRESSED})  # not mailed until they say so


def member_state_of(state: ContactState) -> MemberState:
    """How a contact of that state joins a list: a person who left does not join what they never chose."""
    if state is S.UNCONFIRMED:
        return MemberState.UNCONFIRMED
    return MemberState.UNSUBSCRIBED if state in (S.UNSUBSCRIBED, S.COMPLAINED) else MemberState.SUBSCRIBED


async def unsubscribe(
    tx: WriteTx, scope: Scope, *, contact_id: ContactId, now: datetime, reason: str
) -> bool:
    """The person wants no more mail at all. False when it was so already: asking twice is no error.

    `reason` says where it came from (`link`, `one-click`, `cli`), never who.
    """
    contact = await _contact(tx, scope, contact_id)
    if contact.state in (S.UNSUBSCRIBED, S.COMPLAINED):
        return False
    await _change(tx, scope, contact, S.UNSUBSCRIBED, now, reason)
    await _consent(tx, scope, contact_id, ConsentAct.WITHDRAWN, reason, now)
    return True


async def resubscribe(
    tx: WriteTx, scope: Scope, *, contact_id: ContactId, now: datetime, reason: str
) -> bool:
    """The person, by an act of their own, wants mail again. False when they get it already."""
    contact = await _contact(tx, scope, contact_id)
    if contact.state == S.SUBSCRIBED:
        return False
    await _change(tx, scope, contact, S.SUBSCRIBED, now, reason)
    await _consent(tx, scope, contact_id, ConsentAct.GIVEN, f"resubscribed: {reason}", now)
    contact.consent_source, contact.consent_at = f"resubscribed: {reason}"[:200], now
    return True


async def admit(tx: WriteTx, scope: Scope, contact: Contact, *, now: datetime, reason: str) -> None:
    """The person, by an act of their own, is to be mailed: the consent is written down by whoever calls."""
    if contact.state != S.SUBSCRIBED:
        await _change(tx, scope, contact, S.SUBSCRIBED, now, reason)


async def complain(tx: WriteTx, scope: Scope, *, contact_id: ContactId, now: datetime, reason: str) -> bool:
    """The person reported a message as spam."""
    contact = await _contact(tx, scope, contact_id)
    if contact.state == S.COMPLAINED:
        return False
    await _change(tx, scope, contact, S.COMPLAINED, now, reason)
    await _consent(tx, scope, contact_id, ConsentAct.WITHDRAWN, f"complaint: {reason}", now)
    return True


async def mark_bounced(tx: WriteTx, scope: Scope, contact_ids: Sequence[int], now: datetime) -> int:
    """Their addresses are permanently bad; those who left keep the state that says so. Returns how many."""
    return await move_ids(tx, scope, contact_ids, S.BOUNCED, now)


async def move_all(
    tx: WriteTx, scope: Scope, chosen: sa.ColumnElement[bool], state: ContactState, now: datetime
) -> int:
    """Move every chosen contact whose state allows it; returns how many moved."""
    return await _move(tx, sa.and_(tenant_of(Contact) == scope.tenant_id, chosen), state, now)


async def move_ids(
    tx: WriteTx, scope: Scope, contact_ids: Sequence[int], state: ContactState, now: datetime
) -> int:
    """`move_all` for contacts that are known by their ids."""
    chosen = sa.and_(tenant_beside(Contact) == scope.tenant_id, col(Contact.id).in_(contact_ids))
    return await _move(tx, chosen, state, now)


async def _move(tx: WriteTx, chosen: sa.ColumnElement[bool], state: ContactState, now: datetime) -> int:
    allowed = [origin for origin, targets in TRANSITIONS.items() if state in targets]
    changed = await tx.execute(
        sa.update(Contact)
        .where(chosen, col(Contact.state).in_(allowed))
        .values(state=state, updated_at=now)
        .returning(col(Contact.id))
        .execution_options(synchronize_session=False)
    )
    return len(changed.all())


async def give_back(
    tx: WriteTx,
    scope: Scope,
    contact_ids: Sequence[int],
    *,
    was: ContactState,
    state: ContactState,
    now: datetime,
) -> None:
    """Undo what an import did to states: it spoke for nobody. Only who is still as the import left them."""
    await tx.execute(
        sa.update(Contact)
        .where(
            tenant_beside(Contact) == scope.tenant_id,
            col(Contact.id).in_(contact_ids),
            col(Contact.state) == state,
        )
        .values(state=was, updated_at=now)
        .execution_options(synchronize_session=False)
    )


async def _consent(
    tx: WriteTx, scope: Scope, contact_id: ContactId, act: ConsentAct, source: str, now: datetime
) -> None:
    ip = scope.address if scope.actor == consents.BY_LINK else ""
    await tx.flush()
    await consents.record(tx, scope, contact_id=contact_id, act=consents.Act(act, source, ip), now=now)


async def _contact(tx: WriteTx, scope: Scope, contact_id: ContactId) -> Contact:
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.id) == contact_id).with_for_update())
    if contact is None:
        raise NotFound(f"there is no contact {contact_id}")
    return contact


async def _change(
    tx: WriteTx, scope: Scope, contact: Contact, state: ContactState, now: datetime, reason: str
) -> None:
    origin = ContactState(contact.state)
    if state not in TRANSITIONS[origin]:
        raise Conflict(f"the contact is {origin.value} and cannot become {state.value}")
    contact.state, contact.updated_at = state, now
    if state is S.SUBSCRIBED:
        contact.kept_at = now  # what bounced before does not count any more
    await audit.record(
        tx, scope, f"contact.{state.value}", "contact", contact.id, now=now, was=origin.value, reason=reason
    )
