"""Contacts over the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import ContactId, ListId
from mailengine.core.paging import Page
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import contacts, editing, lists, tags
from mailengine.domain.contacts.browsing import Filter, Order, browse
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.models import Contact, ContactState, MemberState
from mailengine.web.api.shapes import (
    NO_NUL,
    READ_ONE,
    WRITE,
    Cursor,
    Email,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    Search,
    page_request,
)
from mailengine.web.site import Site

AttributeName = Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=NO_NUL)]
AttributeText = Annotated[str, msgspec.Meta(max_length=4000, pattern=NO_NUL)]
AttributeNumber = Annotated[float, msgspec.Meta(gt=-1e15, lt=1e15)]
AttributeValue = (
    AttributeText | AttributeNumber | bool | Annotated[list[AttributeText], msgspec.Meta(max_length=200)]
)
PersonName = Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)]
TagName = Annotated[str | None, QueryParameter(name="tag", min_length=1, max_length=200, pattern=NO_NUL)]
InAttribute = Annotated[
    str | None, QueryParameter(name="attribute", min_length=1, max_length=63, pattern=NO_NUL)
]
ListName = Annotated[str | None, QueryParameter(name="list", min_length=1, max_length=200, pattern=NO_NUL)]


class ContactShape(msgspec.Struct):
    """A contact; the address is unique in the tenant and never changes. `lists` are those that they are or were on,
    by name, with their state there."""

    id: int
    email: str
    first_name: str
    last_name: str
    state: ContactState
    attributes: dict[str, Any]
    tags: list[str]
    lists: dict[str, MemberState]
    consent_source: str
    consent_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class NewContact(Given):
    """`consent_source` says where the person agreed to be written to."""

    email: Email
    first_name: PersonName = ""
    last_name: PersonName = ""
    attributes: dict[AttributeName, AttributeValue] = msgspec.field(default_factory=dict)
    list: Name | None = None
    consent_source: Line = ""


class ContactChange(Given):
    """What is left out stays; an attribute that is null is removed."""

    first_name: PersonName | None = None
    last_name: PersonName | None = None
    attributes: dict[AttributeName, AttributeValue | None] | None = None


async def contact_page(tx: ReadTx, scope: Scope, page: Page[Contact]) -> PageOf[ContactShape]:
    return PageOf(await contact_shapes(tx, scope, page.items), page.total, page.next, page.exact)


async def shape(tx: ReadTx, scope: Scope, row: Contact) -> ContactShape:
    return (await contact_shapes(tx, scope, [row]))[0]


async def contact_shapes(tx: ReadTx, scope: Scope, rows: Sequence[Contact]) -> list[ContactShape]:
    ids = [contacts.contact_id(row) for row in rows]
    labels = await tags.tags_of(tx, scope, ids)
    on_lists = await lists.memberships(tx, scope, ids)
    return [
        msgspec.convert(
            {**row.model_dump(), "tags": labels.get(each, []), "lists": on_lists.get(each, {})}, ContactShape
        )
        for each, row in zip(ids, rows, strict=True)
    ]


class Contacts(Controller):
    """The people of a tenant."""

    path = "/contacts"
    tags = ("contacts",)

    @get(**READ_ONE, summary="List contacts")
    async def list_contacts(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        contact_state: Annotated[ContactState | None, QueryParameter(name="state")] = None,
        on_list: ListName = None,
        with_tag: TagName = None,
        search: Search = None,
        in_attribute: InAttribute = None,
        deleted: Annotated[
            bool, QueryParameter(description="those that were deleted, and only them")
        ] = False,
        sort: FromQuery[Order | None] = None,
    ) -> PageOf[ContactShape]:
        """By id, or as `sort` says; `search` looks into addresses, names and tags, or for what a value of
        `attribute` begins with. All that is given holds."""
        if in_attribute is not None and not search:
            raise InvalidInput("say in `search` what the attribute's value begins with")
        page = page_request(limit, cursor)
        async with site.rt.db.read(caller) as tx:
            list_id = await _list_id(tx, caller, on_list)
            tag_id = None if with_tag is None else (await tags.get_tag(tx, caller, name=with_tag)).id
            chosen = Filter(search or "", contact_state, list_id, tag_id, deleted, in_attribute)
            found = await browse(tx, caller, chosen, page=page, order=sort or Order.OLDEST)
            return await contact_page(tx, caller, found)

    @get("/{contact_id:int}", **READ_ONE, summary="Get a contact")
    async def get_contact(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> ContactShape:
        async with site.rt.db.read(caller) as tx:
            return await shape(tx, caller, await editing.get_by_id(tx, caller, contact_id=contact_id))

    @post(**WRITE, summary="Add a contact")
    async def create_contact(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewContact]
    ) -> ContactShape:
        """Refused for a person who left, was suppressed or asked to be forgotten."""
        new = contacts.check_contact(
            data.email,
            first_name=data.first_name,
            last_name=data.last_name,
            attributes_given=data.attributes,
            consent_source=data.consent_source,
        )
        async with site.rt.db.write(caller) as tx:
            contact = await contacts.add(
                tx,
                caller,
                new,
                now=site.rt.clock.now(),
                hash_key=site.rt.keyring.derive_for_ever(HASH_PURPOSE),
                list_id=await _list_id(tx, caller, data.list),
            )
            return await shape(tx, caller, contact)

    @patch("/{contact_id:int}", **WRITE, summary="Change a contact")
    async def change_contact(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        contact_id: Id,
        data: JSONBody[ContactChange],
    ) -> ContactShape:
        changes = editing.ContactChanges(data.first_name, data.last_name, data.attributes)
        async with site.rt.db.write(caller) as tx:
            contact = await editing.update(
                tx, caller, contact_id=ContactId(contact_id), changes=changes, now=site.rt.clock.now()
            )
            return await shape(tx, caller, contact)

    @delete("/{contact_id:int}", **WRITE, summary="Delete a contact")
    async def delete_contact(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> None:
        """It can be restored for 30 days."""
        async with site.rt.db.write(caller) as tx:
            found = await editing.get_by_id(tx, caller, contact_id=contact_id)
            await contacts.soft_delete(tx, caller, address=found.email, now=site.rt.clock.now())

    @post("/{contact_id:int}/restore", status_code=200, **WRITE, summary="Restore a deleted contact")
    async def restore_contact(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> ContactShape:
        async with site.rt.db.write(caller) as tx:
            found = await editing.get_by_id(tx, caller, contact_id=contact_id, deleted=True)
            row = await contacts.restore(tx, caller, address=found.email, now=site.rt.clock.now())
            return await shape(tx, caller, row)


async def _list_id(tx: ReadTx, scope: Scope, name: str | None) -> ListId | None:
    if name is None:
        return None
    found = await lists.get_list(tx, scope, name=name)
    assert found.id is not None
    return ListId(found.id)
