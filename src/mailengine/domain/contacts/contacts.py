"""Single contacts: add, find, list, delete and bring back. Files of them come in through `imports`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound, Refused
from mailengine.core.ids import ContactId, ListId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import attributes, suppression
from mailengine.domain.contacts.lists import join
from mailengine.domain.contacts.queries import living, on_list
from mailengine.domain.contacts.search.find import search_page
from mailengine.domain.contacts.search.linked import linked_page, members
from mailengine.domain.contacts.search.match import match_of
from mailengine.domain.contacts.states import member_state_of
from mailengine.mail.address import Address, parse_address
from mailengine.models import Contact, ContactState

RESTORABLE = timedelta(days=30)  # P16-03: after that the scheduler erases
MAX_PERSON_NAME = 200


@dataclass(frozen=True, slots=True)
class NewContact:
    """What a person typed, checked by `check_contact`."""

    address: Address
    first_name: str = ""
    last_name: str = ""
    attributes: dict[str, object] = field(default_factory=dict)  # typed when they are stored
    consent_source: str = ""
    consent_ip: str = ""


def check_contact(
    email: str,
    *,
    first_name: str = "",
    last_name: str = "",
    attributes_given: Mapping[str, object] | None = None,
    consent_source: str = "",
    consent_ip: str = "",
) -> NewContact:
    """Raises InvalidInput with what is wrong; needs no database."""
    values = {attributes.check_attribute(name): value for name, value in (attributes_given or {}).items()}
    first, last = " ".join(first_name.split()), " ".join(last_name.split())
    if max(len(first), len(last)) > MAX_PERSON_NAME:
        raise InvalidInput(f"a name can have {MAX_PERSON_NAME} characters at most")
    if "\x00" in first + last:
        raise InvalidInput("names cannot hold a NUL character")
    return NewContact(parse_address(email), first, last, values, consent_source[:200], consent_ip[:45])


async def add(
    tx: WriteTx,
    scope: Scope,
    new: NewContact,
    *,
    now: datetime,
    hash_key: bytes,
    list_id: ListId | None = None,
    state: ContactState = ContactState.SUBSCRIBED,
) -> Contact:
    """Raises Conflict when the address is known, Refused when it is suppressed or its person was erased."""
    scope.require(Grant.EDIT)
    key = new.address.key
    if await suppression.erased(tx, scope, [key], hash_key=hash_key):
        raise Refused("this person asked to be forgotten and cannot be added again")
    if await suppression.suppressed(tx, scope, [key]):
        raise Refused(
            f"{new.address.email} is suppressed; `mailengine suppression remove` lifts it, with their consent"
        )
    contact = Contact(
        tenant_id=scope.tenant_id,
        email=new.address.email,
        email_key=key,
        first_name=new.first_name,
        last_name=new.last_name,
        state=state,
        attributes=await attributes.settle(tx, scope, new.attributes),
        consent_source=new.consent_source,
        consent_at=now if new.consent_source else None,
        consent_ip=new.consent_ip,
        created_at=now,
        updated_at=now,
    )
    await _insert(tx, scope, contact)
    if list_id is not None:
        await join(
            tx,
            scope,
            list_id=list_id,
            contact_id=contact_id(contact),
            state=member_state_of(state),
            now=now,
        )
    await audit.record(tx, scope, "contact.create", "contact", contact.id, now=now)
    return contact


async def _insert(tx: WriteTx, scope: Scope, contact: Contact) -> None:
    try:
        async with tx.begin_nested():
            tx.add(contact)
    except IntegrityError as error:
        found = await _by_key(tx, scope, contact.email_key)
        deleted = found is not None and found.deleted_at is not None
        remedy = "it was deleted; restore it" if deleted else "change it by an import with --on-duplicate"
        raise Conflict(f"there is already a contact {contact.email}: {remedy}") from error


def contact_id(contact: Contact) -> ContactId:
    assert contact.id is not None  # it came from the database
    return ContactId(contact.id)


async def get_contact(tx: ReadTx, scope: Scope, *, address: str) -> Contact:
    """Raises NotFound, also for one that was deleted or is another tenant's."""
    found = await _by_key(tx, scope, parse_address(address).key)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"there is no contact {address}")
    return found


async def list_contacts(
    tx: ReadTx,
    scope: Scope,
    *,
    page: PageRequest,
    state: ContactState | None = None,
    list_id: ListId | None = None,
) -> Page[Contact]:
    query = living(scope)
    if state is not None:
        query = query.where(col(Contact.state) == state)
    if list_id is None:
        return await keyset_page(tx, query, col(Contact.id), page)
    links, walk = members(scope, list_id), query.where(on_list(scope, list_id))
    return await linked_page(tx, query, links, page, key=col(Contact.id), walk=walk)


async def search(
    tx: ReadTx, scope: Scope, *, text: str, page: PageRequest, attribute: str | None = None
) -> Page[Contact]:
    """Contacts whose address or name holds the text, or who carry a tag that begins with it; with `attribute`,
    those whose value of it begins with the text."""
    match = await match_of(tx, scope, text, attribute=attribute)
    return await search_page(tx, scope, living(scope), match, page, key=col(Contact.id))


async def soft_delete(tx: WriteTx, scope: Scope, *, address: str, now: datetime) -> Contact:
    """Take out of lists, searches and audiences; can be restored for RESTORABLE."""
    scope.require(Grant.EDIT)
    contact = await get_contact(tx, scope, address=address)
    contact.deleted_at = contact.updated_at = now
    await audit.record(tx, scope, "contact.delete", "contact", contact.id, now=now)
    return contact


async def deleted(tx: ReadTx, scope: Scope, *, page: PageRequest) -> Page[Contact]:
    """Those that can be brought back; of erased people there is nothing to show."""
    query = owned(Contact, scope).where(
        col(Contact.deleted_at).is_not(None), col(Contact.erased_at).is_(None)
    )
    return await keyset_page(tx, query, col(Contact.id), page)


async def restore(tx: WriteTx, scope: Scope, *, address: str, now: datetime) -> Contact:
    """Bring back as it was, its state included; raises Refused after RESTORABLE."""
    scope.require(Grant.EDIT)
    contact = await _by_key(tx, scope, parse_address(address).key)
    if contact is None or contact.deleted_at is None or contact.erased_at is not None:
        raise NotFound(f"there is no deleted contact {address}")
    if now - contact.deleted_at > RESTORABLE:
        raise Refused(f"{address} was deleted more than {RESTORABLE.days} days ago and cannot be restored")
    contact.deleted_at, contact.updated_at = None, now
    await audit.record(tx, scope, "contact.restore", "contact", contact.id, now=now)
    return contact


async def _by_key(tx: ReadTx, scope: Scope, key: str) -> Contact | None:
    return await tx.scalar(owned(Contact, scope).where(col(Contact.email_key) == key))
