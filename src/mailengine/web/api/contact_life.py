"""What happened with a contact, and what becomes of those who give no sign of life, over the API."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.ids import ContactId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts import consents, editing, hygiene, states
from mailengine.domain.delivery import reengagement
from mailengine.domain.reports.names import names_of
from mailengine.domain.reports.timeline import timeline
from mailengine.web.api.contacts import ContactShape, contact_page, shape
from mailengine.web.api.shapes import (
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    PageOf,
    page_request,
)
from mailengine.web.site import Site


class EntryShape(msgspec.Struct):
    """`what` names the campaign, list or source that it concerns."""

    at: datetime
    kind: str
    what: str
    details: dict[str, Any]


class TimelineShape(msgspec.Struct):
    """Newest first; `next` is the cursor of the following page, null at the end."""

    items: list[EntryShape]
    next: str | None


class ConsentShape(msgspec.Struct):
    """`wording` is what the person was shown; `list_id` and `list`, its name, are null where it concerns all mail."""

    at: datetime
    act: str
    source: str
    ip: str
    wording: str
    list_id: int | None
    list: str | None


class Decision(StrEnum):
    KEEP = "keep"
    MESSAGE = "message"
    SUPPRESS = "suppress"


class Decided(Given):
    """`keep` writes to them again, `message` begins with one that asks, `suppress` never does again."""

    decision: Decision


class PersonSaid(Protocol):
    """What a person told somebody about getting mail, and becomes of their state."""

    async def __call__(
        self, tx: WriteTx, scope: Scope, *, contact_id: ContactId, now: datetime, reason: str
    ) -> bool: ...


async def _told(site: Site, caller: Scope, contact_id: int, said: PersonSaid) -> ContactShape:
    caller.require(Grant.EDIT)
    async with site.rt.db.write(caller) as tx:
        contact = await editing.get_by_id(tx, caller, contact_id=contact_id)
        await said(tx, caller, contact_id=ContactId(contact_id), now=site.rt.clock.now(), reason="api")
        return await shape(tx, caller, contact)


class ContactLife(Controller):
    """What happened with a contact, and what is to become of it."""

    path = "/contacts"
    tags = ("contacts",)

    @get("/{contact_id:int}/timeline", **READ_ONE, summary="See what happened with a contact")
    async def see_timeline(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        contact_id: Id,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> TimelineShape:
        """Sent, opened, clicked, bounced, consent, lists and changes of state."""
        async with site.rt.db.read(caller) as tx:
            await editing.get_by_id(tx, caller, contact_id=contact_id)
            page = await timeline(tx, caller, contact_id=contact_id, page=page_request(limit, cursor))
        return msgspec.convert(page, TimelineShape, from_attributes=True)

    @get("/{contact_id:int}/consents", **READ_ONE, summary="See what a contact agreed to")
    async def see_consents(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> list[ConsentShape]:
        """Every act, oldest first."""
        async with site.rt.db.read(caller) as tx:
            contact = await editing.get_by_id(tx, caller, contact_id=contact_id)
            acts = await consents.history(tx, caller, contact=contact)
            names = await names_of(tx, caller, [("list", act.list_id) for act in acts])
        return [
            ConsentShape(
                act.at, act.act, act.source, act.ip, act.wording, act.list_id,
                None if act.list_id is None else names["list", act.list_id].name,
            )
            for act in acts
        ]  # fmt: skip

    @get("/quiet", **READ, summary="List contacts without a sign of life")
    async def list_quiet(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        inactive: Annotated[
            bool, QueryParameter(description="those who are left out of campaigns already")
        ] = False,
    ) -> PageOf[ContactShape]:
        """Due for a re-engagement message."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await hygiene.quiet(tx, caller, page=page, inactive=inactive)
            return await contact_page(tx, caller, found)

    @post("/{contact_id:int}/unsubscribe", status_code=200, **WRITE, summary="Unsubscribe a contact")
    async def unsubscribe(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> ContactShape:
        """The person wants no more mail; campaigns under way skip them too."""
        return await _told(site, caller, contact_id, states.unsubscribe)

    @post("/{contact_id:int}/resubscribe", status_code=200, **WRITE, summary="Subscribe a contact again")
    async def resubscribe(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], contact_id: Id
    ) -> ContactShape:
        """Only for a person who asked for it themselves; it is written down as their consent."""
        return await _told(site, caller, contact_id, states.resubscribe)

    @post(
        "/{contact_id:int}/reactivate",
        status_code=200,
        **WRITE,
        summary="Decide on a contact without a sign of life",
    )
    async def reactivate(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        contact_id: Id,
        data: JSONBody[Decided],
    ) -> ContactShape:
        now, found = site.rt.clock.now(), ContactId(contact_id)
        async with site.rt.db.write(caller) as tx:
            match data.decision:
                case Decision.SUPPRESS:
                    row = await hygiene.give_up(tx, caller, contact_id=found, now=now)
                case Decision.MESSAGE:
                    base_url = site.rt.settings.base_url
                    row = await reengagement.ask(
                        tx, caller, contact_id=found, tokens=site.tokens, base_url=base_url, now=now
                    )
                case _:
                    row = await hygiene.keep(tx, caller, contact_id=found, now=now)
            return await shape(tx, caller, row)
