"""What people agreed to by themselves: the act, with the words that they saw, and where it stands now."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts.lists import set_membership
from mailengine.models import Consent, ConsentAct, Contact, MemberState


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
    await set_membership(
        tx, scope, contact_id=contact.id or 0, list_ids=list_ids, state=MemberState.SUBSCRIBED, now=now
    )
    contact.consent_source, contact.consent_at, contact.consent_ip = source[:200], now, ip[:45]
    contact.updated_at = now
    await _record(tx, scope, contact, ConsentAct.GIVEN, list_ids, source, wording, ip, now)


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
    await set_membership(
        tx, scope, contact_id=contact.id or 0, list_ids=list_ids, state=MemberState.UNSUBSCRIBED, now=now
    )
    await _record(tx, scope, contact, ConsentAct.WITHDRAWN, list_ids, source, "", ip, now)


async def _record(
    tx: WriteTx,
    scope: Scope,
    contact: Contact,
    act: ConsentAct,
    list_ids: Sequence[int],
    source: str,
    wording: str,
    ip: str,
    now: datetime,
) -> None:
    common = {"tenant_id": scope.tenant_id, "contact_id": contact.id, "at": now, "act": act}
    said = {"source": source[:200], "ip": ip[:45], "wording": wording}
    rows = [{**common, **said, "list_id": list_id} for list_id in list_ids]
    if rows:
        await tx.execute(sa.insert(table_of(Consent)), rows)
