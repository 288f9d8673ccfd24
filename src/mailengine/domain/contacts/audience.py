"""Who may be mailed now, as one Select; and who is left out of it, by reason.

A person is in the audience once, however many of the lists they are on, when: the contact is subscribed and
not deleted, it is a subscribed member of one of the lists at least, and neither its address nor its domain is
suppressed. Erased people (suppressions by hash) have no contact: every way in refuses them.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.queries import domain_of
from mailengine.models import Contact, ContactState, ListMember, MemberState, Suppression, SuppressionKind

LEFT_THE_LIST = "left the list"
NOT_CONFIRMED = "membership not confirmed"
SUPPRESSED_ADDRESS = "address suppressed"
SUPPRESSED_DOMAIN = "domain suppressed"
DELETED = "deleted"


def audience(scope: Scope, list_ids: Sequence[int]) -> sa.Select[int | None, str]:
    """`(id, email)` of those who may be mailed; order by and page on `Contact.id`."""
    return sa.select(col(Contact.id), col(Contact.email)).where(
        tenant_of(Contact) == scope.tenant_id,
        col(Contact.state) == ContactState.SUBSCRIBED,
        col(Contact.deleted_at).is_(None),
        _on_any(scope, list_ids, MemberState.SUBSCRIBED),
        ~_suppressed(scope, SuppressionKind.ADDRESS),
        ~_suppressed(scope, SuppressionKind.DOMAIN),
    )


async def left_out(tx: ReadTx, scope: Scope, list_ids: Sequence[int]) -> dict[str, int]:
    """How many people of the lists are not in the audience, by the first reason that holds for each."""
    reason = sa.case(
        (col(Contact.deleted_at).is_not(None), DELETED),
        (col(Contact.state) != ContactState.SUBSCRIBED, col(Contact.state)),
        (_suppressed(scope, SuppressionKind.ADDRESS), SUPPRESSED_ADDRESS),
        (_suppressed(scope, SuppressionKind.DOMAIN), SUPPRESSED_DOMAIN),
        (_on_any(scope, list_ids, MemberState.SUBSCRIBED), ""),
        (_on_any(scope, list_ids, MemberState.UNCONFIRMED), NOT_CONFIRMED),
        else_=LEFT_THE_LIST,
    ).label("reason")
    people = (
        sa.select(reason)
        .where(tenant_of(Contact) == scope.tenant_id, _on_any(scope, list_ids, *MemberState))
        .subquery()
    )
    rows = await tx.execute(sa.select(people.c.reason, sa.func.count()).group_by(people.c.reason))
    return {name: number for name, number in rows.all() if name}


def _on_any(scope: Scope, list_ids: Sequence[int], *states: MemberState) -> sa.ColumnElement[bool]:
    # IN (a set), not a join: a person on two of the lists must not come out twice.
    return col(Contact.id).in_(
        sa.select(col(ListMember.contact_id)).where(
            tenant_of(ListMember) == scope.tenant_id,
            col(ListMember.list_id).in_(list_ids),
            col(ListMember.state).in_(states),
        )
    )


def _suppressed(scope: Scope, kind: SuppressionKind) -> sa.ColumnElement[bool]:
    key: Any = col(Contact.email_key)
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(Suppression)
        .where(
            tenant_of(Suppression) == scope.tenant_id,
            col(Suppression.kind) == kind,
            col(Suppression.value) == (key if kind is SuppressionKind.ADDRESS else domain_of(key)),
        )
        .correlate(Contact)
    )
