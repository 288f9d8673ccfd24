"""A template as one contact would see it, by the way of sending: the same snapshot, the same compiled message.

Nothing is tracked, and the recipient's links lead nowhere, because no message stands behind them.
"""

import asyncio
import re

from mailengine.domain.content import snapshots
from mailengine.domain.content.render import CompiledMessage, Rendered
from mailengine.domain.content.snapshots import Built, Sources
from mailengine.domain.content.values import Links, Person, recipient_values
from mailengine.models import Contact, Tenant


def person_of(contact: Contact) -> Person:
    """What is merged from a contact."""
    return Person(contact.email, contact.first_name, contact.last_name, contact.attributes)


def literal(text: str) -> str:
    """Text as a source that renders to it, whatever braces it holds (escapes of `spintax`)."""
    return re.sub(r"[{|}]", lambda match: "\\" + match[0], text)


async def preview(sources: Sources, person: Person, tenant: Tenant, *, base_url: str) -> Rendered:
    """Raises InvalidInput for a source that does not compile, merge.RenderError for a value that is missing."""
    built = await snapshots.build(sources, track_opens=False, track_clicks=False)
    return await asyncio.to_thread(_render, built, person, tenant, base_url)


def _render(built: Built, person: Person, tenant: Tenant, base_url: str) -> Rendered:
    links = Links(f"{base_url}/u/preview", f"{base_url}/v/preview", f"{base_url}/c/preview", "")
    values = recipient_values(
        person,
        links,
        organisation=tenant.name,
        postal_address=tenant.postal_address,
        seed=person.email,
    )
    message = CompiledMessage(subject=built.subject, html=built.html, text=built.text)
    return message.render(values)
