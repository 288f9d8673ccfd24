"""What a person agreed to, when, how and from where: a history that is only ever added to (P16-04).

The latest agreement also stands on the contact. That of a contact that a file brought is in the history from its
first day. One that was typed in, or came before imports wrote it down, has its first agreement on the contact alone
until a later act joins it (`record` sees to that), and `history` puts both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of, tenant_beside, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.models import Consent, ConsentAct, Contact

BY_LINK = (
    "link"  # the actor who follows a link in a message: only then is the scope's address the person's own
)


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a person. `wording` is what they were shown, `list_id` None where it concerns mail at all."""

    act: ConsentAct
    source: str
    ip: str = ""
    wording: str = ""
    list_id: int | None = None


async def record(tx: WriteTx, scope: Scope, *, contact_id: int, act: Act, now: datetime) -> None:
    """Add an act; an agreement also becomes what the contact shows."""
    await record_all(tx, scope, [(contact_id, act)], now=now)


async def record_all(
    tx: WriteTx, scope: Scope, acts: Sequence[tuple[int, Act]], *, now: datetime, stored: bool = False
) -> None:
    """Bulk form. `stored`: the contacts get their new consent by the caller, in the same transaction and later."""
    if not acts:
        return
    await keep_standing(tx, scope, [contact_id for contact_id, _act in acts])
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "contact_id": contact_id,
            "at": now,
            "act": act.act,
            "source": act.source[:200],
            "ip": act.ip[:45],
            "wording": act.wording,
            "list_id": act.list_id,
        }
        for contact_id, act in acts
    ]
    await tx.execute(sa.insert(table_of(Consent)), rows)
    for contact_id, act in acts if not stored else ():
        if act.act is ConsentAct.GIVEN:
            await tx.execute(
                sa.update(Contact)
                .where(tenant_of(Contact) == scope.tenant_id, col(Contact.id) == contact_id)
                .values(consent_source=act.source[:200], consent_at=now, consent_ip=act.ip[:45])
            )


async def history(tx: ReadTx, scope: Scope, *, contact: Contact) -> list[Consent]:
    """Every act, oldest first."""
    rows = await tx.scalars(
        owned(Consent, scope).where(col(Consent.contact_id) == contact.id).order_by(col(Consent.id))
    )
    found = list(rows)
    if found or contact.id is None or not (contact.consent_source or contact.consent_at):
        return found
    return [
        Consent(
            tenant_id=scope.tenant_id,
            contact_id=contact.id,
            at=contact.consent_at or contact.created_at,
            act=ConsentAct.GIVEN,
            source=contact.consent_source,
            ip=contact.consent_ip,
        )
    ]


async def keep_standing(tx: WriteTx, scope: Scope, contact_ids: Sequence[int], *, new: bool = False) -> None:
    """Write down the agreements that so far stand on the contacts alone; those of `new` contacts do."""
    people, consents = _people(tx, scope, contact_ids).c, table_of(Consent).c
    standing = sa.select(
        people.tenant_id,
        people.id,
        sa.func.coalesce(people.consent_at, people.created_at),
        sa.literal(ConsentAct.GIVEN.value),
        people.consent_source,
        people.consent_ip,
        sa.literal(""),
    ).where(sa.or_(people.consent_source != "", people.consent_at.is_not(None)))
    if not new:
        standing = standing.where(
            ~sa.exists().where(consents.contact_id == people.id, consents.tenant_id == scope.tenant_id)
        )
    names = ["tenant_id", "contact_id", "at", "act", "source", "ip", "wording"]
    await tx.execute(sa.insert(table_of(Consent)).from_select(names, standing))


def _people(tx: ReadTx, scope: Scope, ids: Sequence[int]) -> sa.Subquery:
    """Contacts by their ids, which are one parameter: a batch of an import has thousands."""
    contacts = table_of(Contact).c
    parts = (contacts.consent_at, contacts.created_at, contacts.consent_source, contacts.consent_ip)
    own = sa.select(contacts.tenant_id, contacts.id, *parts).where(tenant_beside(Contact) == scope.tenant_id)
    if not tx.postgres:
        listed = sa.func.json_each(msgspec.json.encode(list(ids)).decode()).table_valued("value")
        return own.where(contacts.id.in_(sa.select(listed.c.value))).subquery()
    # With LIMIT each is looked up by its id, whatever PostgreSQL believes of a table that an import is filling: it
    # had kept the plan of the first batches, and read all of the tenant for each of the later ones.
    given = sa.bindparam("ids", list(ids), type_=ARRAY(sa.BigInteger))
    wanted = sa.func.unnest(given).table_valued("id").render_derived(name="wanted")
    each = own.where(contacts.id == wanted.c.id).limit(1).lateral("each")
    return sa.select(each).select_from(wanted).join(each, sa.true()).subquery()
