"""Contacts as a person looks through them: search, filters and order together, a page at a time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.queries import carries, on_list
from mailengine.domain.contacts.search.find import search_page
from mailengine.domain.contacts.search.linked import carriers, linked_page, members
from mailengine.domain.contacts.search.match import Match, checked_text, match_of
from mailengine.models import Contact, ContactState


class Order(StrEnum):
    """By address, or by when they were added; both are unique, so pages never shift."""

    ADDRESS = "address"
    ADDRESS_DOWN = "-address"
    OLDEST = "added"
    NEWEST = "-added"


@dataclass(frozen=True, slots=True)
class Filter:
    """What all has to hold; None or an empty text does not restrict. With `attribute` its value begins so."""

    text: str = ""
    state: ContactState | None = None
    list_id: int | None = None
    tag_id: int | None = None
    deleted: bool = False
    attribute: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As a job keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Filter":
        state = values["state"]
        return cls(**{**values, "state": None if state is None else ContactState(state)})


async def browse(
    tx: ReadTx,
    scope: Scope,
    chosen: Filter,
    *,
    page: PageRequest,
    order: Order = Order.NEWEST,
) -> Page[Contact]:
    """The contacts that match. What is not asked to be counted, `total` counts (`counted_apart`)."""
    query = owned(Contact, scope).where(*conditions(scope, replace(chosen, text="")))
    key = col(Contact.email_key) if order in (Order.ADDRESS, Order.ADDRESS_DOWN) else col(Contact.id)
    down = order in (Order.ADDRESS_DOWN, Order.NEWEST)
    if chosen.text:
        match = await match_of(tx, scope, chosen.text, attribute=chosen.attribute)
        return await search_page(tx, scope, query, match, page, key=key, newest_first=down)
    if chosen.list_id is not None:
        links, others = members(scope, chosen.list_id), replace(chosen, text="", list_id=None)
    elif chosen.tag_id is not None:
        links, others = carriers(scope, [chosen.tag_id]), replace(chosen, text="", tag_id=None)
    else:
        return await keyset_page(tx, query, key, page, newest_first=down)
    right = owned(Contact, scope).where(*conditions(scope, others))
    return await linked_page(tx, right, links, page, key=key, walk=query, newest_first=down)


def counted_apart(chosen: Filter) -> bool:
    """Whether `total` counts those that match; those of a list or a tag are counted with their page."""
    return bool(chosen.text) or (chosen.list_id is None and chosen.tag_id is None)


async def total(tx: ReadTx, scope: Scope, chosen: Filter, counts: Mapping[str, int]) -> tuple[int, bool]:
    """How many match, of which `counts` (`state_counts`) may tell; and whether it is exact, for of a text's many only
    so many are counted."""
    if chosen.text:
        found = await browse(tx, scope, chosen, page=PageRequest(limit=1))
        return found.total, found.exact
    if not chosen.deleted and counted_apart(chosen):
        return sum(counts.values()) if chosen.state is None else counts.get(chosen.state, 0), True
    query = sa.select(sa.func.count()).select_from(Contact).where(tenant_of(Contact) == scope.tenant_id)
    return await tx.scalar(query.where(*conditions(scope, chosen))) or 0, True


def conditions(scope: Scope, chosen: Filter) -> list[sa.ColumnElement[bool]]:
    """What holds for the contacts that match. Those that were erased are not among them: nothing is left of them."""
    gone = col(Contact.deleted_at)
    found: list[sa.ColumnElement[bool]] = [gone.is_(None)]  # whoever was erased is deleted, too
    if chosen.deleted:
        found = [gone.is_not(None), col(Contact.erased_at).is_(None)]
    if chosen.text:
        found.append(Match(scope, checked_text(chosen.text), chosen.attribute).condition())
    if chosen.state is not None:
        found.append(col(Contact.state) == chosen.state)
    if chosen.list_id is not None:
        found.append(on_list(scope, chosen.list_id))
    if chosen.tag_id is not None:
        found.append(carries(scope, [chosen.tag_id]))
    return found


async def state_counts(tx: ReadTx, scope: Scope) -> dict[str, int]:
    """How many living contacts are in each state."""
    contacts = table_of(Contact).c
    rows = await tx.execute(
        sa.select(contacts.state, sa.func.count())
        .where(contacts.tenant_id == scope.tenant_id, contacts.deleted_at.is_(None))
        .group_by(contacts.state)
    )
    return {str(state): int(number) for state, number in rows}
