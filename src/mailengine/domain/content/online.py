"""A message as its recipient can see it in a browser: rendered again from the snapshot, never stored.

The snapshot is the one that was sent; the values are the contact's of today, as a deleted contact keeps them
until it is erased.
"""

from dataclasses import dataclass

from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx
from mailengine.domain.content.preview import person_of
from mailengine.domain.content.render import CompiledMessage
from mailengine.domain.content.snapshots import load
from mailengine.domain.content.values import Links, Person, recipient_values
from mailengine.domain.tracking.events import MessageOf
from mailengine.models import Contact, Snapshot


@dataclass(frozen=True, slots=True)
class OnlineCopy:
    """What was read for one recipient; rendering it needs no transaction."""

    snapshot: Snapshot
    person: Person
    seed: str


async def read_copy(tx: ReadTx, scope: Scope, message: MessageOf) -> OnlineCopy:
    """Raises NotFound for a message whose campaign was never launched."""
    if message.snapshot_id is None:
        raise NotFound("this link leads nowhere")
    snapshot = await load(tx, scope, snapshot_id=message.snapshot_id)
    if not snapshot.html:  # the campaign was deleted, and its time in the trash is over
        raise NotFound("this link leads nowhere")
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.id) == message.contact_id))
    if contact is None:
        raise NotFound("this link leads nowhere")
    # The same seed as when it was composed: the same spintax variants.
    return OnlineCopy(snapshot, person_of(contact), seed=f"{message.campaign_id}/{message.task_id}")


def render_online(copy: OnlineCopy, links: Links) -> str:
    """The HTML; takes milliseconds of CPU. Raises merge.RenderError for a value that does not fit any more."""
    settings = copy.snapshot.settings
    values = recipient_values(
        copy.person,
        links,
        organisation=str(settings["organisation"]),
        postal_address=str(settings["postal_address"]),
        seed=copy.seed,
    )
    return CompiledMessage(subject="", html=copy.snapshot.html, text="").render(values).html
