"""Contacts: search, one of them with all that happened, tags and suppression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailengine.core.ids import ContactId
from mailengine.core.paging import Page, PageRequest
from mailengine.domain.contacts import (
    attributes,
    browsing,
    contacts,
    editing,
    lists,
    states,
    suppression,
    tags,
)
from mailengine.domain.reports.timeline import Timeline, timeline
from mailengine.models import Contact, ContactState, SuppressionKind
from mailengine.tui.source.desk import Desk, whole

_SOURCE = "tui"  # where a suppression or an unsubscription came from


@dataclass(frozen=True, slots=True)
class ContactPage:
    """`tags` by contact's id."""

    page: Page[Contact]
    tags: Mapping[int, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one contact but what happened; `labels` are the names of attributes."""

    contact: Contact
    lists: Mapping[str, str]
    tags: Sequence[str]
    labels: Mapping[str, str]
    suppressed: bool


class Contacts:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def page(
        self, *, state: ContactState | None, text: str, limit: int, cursor: str | None
    ) -> ContactPage:
        """Newest first."""
        desk = self.desk
        chosen = browsing.Filter(text=text, state=state)
        async with desk.read() as tx:
            found = await browsing.browse(tx, desk.scope, chosen, page=PageRequest(limit, cursor))
            ids = [row.id for row in found.items if row.id is not None]
            return ContactPage(found, await tags.tags_of(tx, desk.scope, ids))

    @whole
    async def get(self, contact_id: ContactId) -> Known:
        """Raises NotFound."""
        desk = self.desk
        async with desk.read() as tx:
            contact = await editing.get_by_id(tx, desk.scope, contact_id=contact_id)
            return Known(
                contact,
                (await lists.memberships(tx, desk.scope, [contact_id])).get(contact_id, {}),
                (await tags.tags_of(tx, desk.scope, [contact_id])).get(contact_id, []),
                await attributes.attribute_labels(tx, desk.scope),
                bool(await suppression.suppressed(tx, desk.scope, [contact.email_key])),
            )

    @whole
    async def timeline(self, contact_id: ContactId, *, limit: int, cursor: str | None) -> Timeline:
        """Newest first."""
        desk = self.desk
        async with desk.read() as tx:
            return await timeline(tx, desk.scope, contact_id=contact_id, page=PageRequest(limit, cursor))

    @whole
    async def tag(self, contact_id: ContactId, tag: str) -> str:
        desk = self.desk
        async with desk.write() as tx:
            await tags.tag_contacts(tx, desk.scope, tag=tag, contact_ids=[contact_id], now=desk.now())
        return f"tagged with {tag}"

    @whole
    async def untag(self, contact_id: ContactId, tag: str) -> str:
        desk = self.desk
        async with desk.write() as tx:
            await tags.untag_contacts(tx, desk.scope, tag=tag, contact_ids=[contact_id], now=desk.now())
        return f"the tag {tag} is taken off"

    @whole
    async def suppress(self, contact: Contact) -> str:
        """Never mail this address again."""
        desk = self.desk
        target = suppression.Target(SuppressionKind.ADDRESS, contact.email_key)
        async with desk.write() as tx:
            await suppression.suppress(
                tx, desk.scope, target, reason="manual", source=_SOURCE, now=desk.now()
            )
        return f"{contact.email} is suppressed"

    @whole
    async def unsuppress(self, contact: Contact) -> str:
        """Raises NotFound where only the domain is suppressed."""
        desk = self.desk
        target = suppression.Target(SuppressionKind.ADDRESS, contact.email_key)
        async with desk.write() as tx:
            await suppression.unsuppress(tx, desk.scope, target, now=desk.now())
        return f"{contact.email} may be mailed again"

    @whole
    async def unsubscribe(self, contact: Contact) -> str:
        desk = self.desk
        async with desk.write() as tx:
            await states.unsubscribe(
                tx, desk.scope, contact_id=contacts.contact_id(contact), now=desk.now(), reason=_SOURCE
            )
        return f"{contact.email} gets no more campaigns"
