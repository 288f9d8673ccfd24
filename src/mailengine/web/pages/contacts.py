"""The contacts: a table, and what can be done with those that are ticked."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import contacts, editing, lists, states, tags
from mailengine.domain.contacts.browsing import Filter, Order, browse, state_counts
from mailengine.models import Contact, ContactList, ContactState, Tag
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.pages.live import Stat
from mailengine.web.site import Site

PATH = "/contacts"
CHOICES = PageRequest(limit=1000)  # lists and tags that a menu offers; nobody finds one among more
NOTHING_CHOSEN = "Nothing was selected"


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page reads in one look at the database."""

    listing: Listing[Contact]
    tags: dict[int, list[str]]
    counts: dict[str, int]
    lists: Sequence[ContactList]
    all_tags: Sequence[Tag]

    def stats(self) -> list[Stat]:
        kept_away = ("bounced", "complained", "suppressed")
        return [
            Stat("Contacts", sum(self.counts.values())),
            Stat("Subscribed", self.counts.get("subscribed", 0)),
            Stat("Unsubscribed", self.counts.get("unsubscribed", 0)),
            Stat("Bounced, complained, suppressed", sum(self.counts.get(state, 0) for state in kept_away)),
        ]


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The contacts that match, a page at a time."""
    scope, params = request.auth.scope, params_of(request, "state", "list", "tag", "deleted")
    async with site.rt.db.read(scope) as tx:
        seen = await _overview(tx, scope, params)
    return await page(site, request, "pages/contacts.html", seen=seen, states=list(ContactState))


async def _overview(tx: ReadTx, scope: Scope, params: dict[str, str]) -> Overview:
    chosen = Filter(
        text=params["q"],
        state=one_of(params["state"], ContactState),
        list_id=int(params["list"]) if params["list"].isdecimal() else None,
        tag_id=int(params["tag"]) if params["tag"].isdecimal() else None,
        deleted=bool(params["deleted"]),
    )
    order = one_of(params["sort"], Order) or Order.NEWEST
    found = await browse(tx, scope, chosen, page=page_of(params), order=order)
    return Overview(
        Listing(PATH, params, found, "contact", "contacts", Order.NEWEST),
        await tags.tags_of(tx, scope, [row.id for row in found.items if row.id is not None]),
        await state_counts(tx, scope),
        (await lists.list_lists(tx, scope, page=CHOICES)).items,
        (await tags.list_tags(tx, scope, page=CHOICES)).items,
    )


@post("/contacts/bulk")
async def bulk(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """One act for all rows that were ticked."""
    scope, form = request.auth.scope, await Form.of(request)
    ids, act = form.ids(), ACTS.get(form.text("act"))
    back = PATH + "?deleted=1" if form.text("act") == "restore" else PATH
    if not ids or act is None:
        return done(site, back, NOTHING_CHOSEN, "warning")
    async with site.rt.db.write(scope) as tx:
        words = await act(tx, scope, ids, form.text("tag"), site)
    return done(site, back, words)


Act = Callable[[WriteTx, Scope, list[int], str, Site], Awaitable[str]]


async def _delete(tx: WriteTx, scope: Scope, ids: list[int], _tag: str, site: Site) -> str:
    for contact_id in ids:
        found = await editing.get_by_id(tx, scope, contact_id=contact_id)
        await contacts.soft_delete(tx, scope, address=found.email, now=site.rt.clock.now())
    return f"{counted(len(ids))} deleted; they can be restored for 30 days"


async def _restore(tx: WriteTx, scope: Scope, ids: list[int], _tag: str, site: Site) -> str:
    for contact_id in ids:
        found = await editing.get_by_id(tx, scope, contact_id=contact_id, deleted=True)
        await contacts.restore(tx, scope, address=found.email, now=site.rt.clock.now())
    return f"{counted(len(ids))} restored"


async def _unsubscribe(tx: WriteTx, scope: Scope, ids: list[int], _tag: str, site: Site) -> str:
    left = 0
    for contact_id in ids:
        found = await editing.get_by_id(tx, scope, contact_id=contact_id)
        scope.require(Grant.EDIT)
        left += await states.unsubscribe(
            tx, scope, contact_id=contacts.contact_id(found), now=site.rt.clock.now(), reason="page"
        )
    return f"{counted(left)} unsubscribed"


async def _tag(tx: WriteTx, scope: Scope, ids: list[int], tag: str, site: Site) -> str:
    _require_tag(tag)
    new = await tags.tag_contacts(tx, scope, tag=tag, contact_ids=ids, now=site.rt.clock.now())
    return f"{counted(new)} tagged with {tag}"


async def _untag(tx: WriteTx, scope: Scope, ids: list[int], tag: str, site: Site) -> str:
    _require_tag(tag)
    had = await tags.untag_contacts(tx, scope, tag=tag, contact_ids=ids, now=site.rt.clock.now())
    return f"{tag} was taken off {counted(had)}"


ACTS: dict[str, Act] = {
    "delete": _delete,
    "restore": _restore,
    "unsubscribe": _unsubscribe,
    "tag": _tag,
    "untag": _untag,
}


def _require_tag(tag: str) -> None:
    if not tag:
        raise InvalidInput("write the tag's name first")


def counted(number: int) -> str:
    return f"{number:,} contact" + ("" if number == 1 else "s")
