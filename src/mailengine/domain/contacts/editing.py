"""Single contacts by id, and changes to what is known of them. The address never changes: it is the contact."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import ContactId
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import attributes
from mailengine.domain.contacts.contacts import check_contact
from mailengine.models import Contact


@dataclass(frozen=True, slots=True)
class ContactChanges:
    """None leaves a value as it is; an attribute that is None or blank is removed."""

    first_name: str | None = None
    last_name: str | None = None
    attributes: Mapping[str, object] | None = None


async def get_by_id(tx: ReadTx, scope: Scope, *, contact_id: int, deleted: bool = False) -> Contact:
    """Raises NotFound, also for another tenant's; `deleted` finds those that were deleted, and only them."""
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.id) == contact_id))
    gone = contact is None or contact.erased_at is not None
    if contact is None or gone or (contact.deleted_at is not None) is not deleted:
        raise NotFound(f"there is no {'deleted ' if deleted else ''}contact {contact_id}")
    return contact


async def update(
    tx: WriteTx, scope: Scope, *, contact_id: ContactId, changes: ContactChanges, now: datetime
) -> Contact:
    """Change names and attributes; raises InvalidInput for a value that cannot be kept."""
    scope.require(Grant.EDIT)
    contact = await get_by_id(tx, scope, contact_id=contact_id)
    given = dict(changes.attributes or {})
    checked = check_contact(
        contact.email,
        first_name=contact.first_name if changes.first_name is None else changes.first_name,
        last_name=contact.last_name if changes.last_name is None else changes.last_name,
        attributes_given=given,
    )
    contact.first_name, contact.last_name = checked.first_name, checked.last_name
    kept = {name: value for name, value in contact.attributes.items() if name not in given}
    contact.attributes = {**kept, **await attributes.settle(tx, scope, checked.attributes)}
    contact.updated_at = now
    await audit.record(tx, scope, "contact.update", "contact", contact.id, now=now)
    return contact
