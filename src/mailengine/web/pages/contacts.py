"""The contacts: a table, and what can be done with those that are ticked, or with all that a filter matches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Grant, Scope
from mailengine.core.wording import counted
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import tags
from mailengine.domain.contacts.browsing import Filter, Order, browse, counted_apart, state_counts, total
from mailengine.domain.contacts.bulk import Act, BulkRequest, do_at_once
from mailengine.domain.contacts.contacts import RESTORABLE
from mailengine.domain.contacts.exports import run as exports
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.models import Contact, ContactState, Job, JobState
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Kind, Menu, chosen, id_named, menu
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, id_in, in_words, one_of, page_of, params_of
from mailengine.web.rendering import html
from mailengine.web.session import FRESH, NEEDS
from mailengine.web.site import Site

PATH = "/contacts"
FILTERS = ("q", "state", "list", "tag", "deleted")  # parameters of the address that say whom the table shows
NOTHING_CHOSEN = "Nothing was selected"
# What an act did; `{people}` is how many contacts something changed of, `{name}` the tag or list.
DONE = {
    Act.DELETE: "{people} deleted; they can be restored for 30 days",
    Act.RESTORE: "{people} restored",
    Act.UNSUBSCRIBE: "{people} unsubscribed",
    Act.TAG: "{people} tagged with {name}",
    Act.UNTAG: "{name} was taken off {people}",
    Act.ADD_TO_LIST: "{people} put on the list {name}",
    Act.REMOVE_FROM_LIST: "{people} taken off the list {name}",
}
# The figures at the top, and the states that each is made of.
FIGURES: dict[str, tuple[ContactState, ...]] = {
    "Contacts": tuple(ContactState),
    "Subscribed": (ContactState.SUBSCRIBED,),
    "Unsubscribed": (ContactState.UNSUBSCRIBED,),
    "Bounced, complained, suppressed": (
        ContactState.BOUNCED,
        ContactState.COMPLAINED,
        ContactState.SUPPRESSED,
    ),
}
_NAME_FIELDS = {
    Act.TAG: "tag_name",
    Act.UNTAG: "tag_name",
    Act.ADD_TO_LIST: "to_list",
    Act.REMOVE_FROM_LIST: "to_list",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page reads in one look at the database."""

    listing: Listing[Contact]
    tags: dict[int, list[str]]
    lists: Menu
    all_tags: Menu
    list_name: str  # of the chosen ones, or as they were typed
    tag_name: str


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The contacts that match, a page at a time; how many there are is asked for by the page, because of many that
    takes a while."""
    scope, params = request.auth.scope, params_of(request, *FILTERS[1:], "list_name", "tag_name")
    async with site.rt.db.read(scope) as tx:
        seen = await _overview(tx, scope, params)
    return await page(
        site,
        request,
        "pages/contacts.html",
        seen=seen,
        figures=list(FIGURES),
        states=list(ContactState),
        restorable=RESTORABLE,
        filters=FILTERS,
        formats=list(Format),
    )


@get(f"{PATH}/counts")
async def counts(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The figures of the page, and how many the table's filter matches where the page did not count them: pieces of
    it."""
    scope, chosen = request.auth.scope, filter_of(params_of(request, *FILTERS[1:]))
    async with site.rt.db.read(scope) as tx:
        states = await state_counts(tx, scope)
        matching, exact = await total(tx, scope, chosen, states) if counted_apart(chosen) else (0, True)
    figures = {name: sum(states.get(state, 0) for state in of) for name, of in FIGURES.items()}
    count = _count_of(chosen, exact=exact)
    values = {"figures": figures, "count": count, "matching": in_words(matching, exact=exact)}
    return html(site.render("fragments/contact_counts.html", **values))


def _count_of(chosen: Filter, *, exact: bool) -> str:
    """Names what `counts` counts for this filter, so that an answer which comes late is not taken for another's."""
    said = not counted_apart(chosen) or (chosen.text and exact)  # by the page
    return "" if said else f"of-{crc32(repr(chosen).encode()):x}"


async def _overview(tx: ReadTx, scope: Scope, params: dict[str, str]) -> Overview:
    list_name = await _named(tx, scope, Kind.LISTS, params, "list")
    tag_name = await _named(tx, scope, Kind.TAGS, params, "tag")
    order = one_of(params["sort"], Order) or Order.NEWEST
    wanted = filter_of(params)
    found = await browse(tx, scope, wanted, page=page_of(params, count=False), order=order)
    count = _count_of(wanted, exact=found.exact)
    return Overview(
        Listing(PATH, params, found, "contact", "contacts", Order.NEWEST, count),
        await tags.tags_of(tx, scope, [row.id for row in found.items if row.id is not None]),
        await menu(tx, scope, Kind.LISTS),
        await menu(tx, scope, Kind.TAGS),
        list_name,
        tag_name,
    )


async def _named(tx: ReadTx, scope: Scope, kind: Kind, params: dict[str, str], param: str) -> str:
    """The name of the list or tag that the table is filtered by; one that was typed becomes the id in `params`."""
    typed = params.pop(f"{param}_name")
    if typed:
        params[param] = str(await id_named(tx, scope, kind, typed))
        return typed
    if (key := id_in(params[param])) is None:
        return ""
    if found := await chosen(tx, scope, kind, [key]):
        return str(found[0].name)
    params[param] = "0"  # nobody's: a list that was deleted may have members still
    return ""


def filter_of(params: Mapping[str, str]) -> Filter:
    """Whom the table shows."""
    return Filter(
        text=params["q"],
        state=one_of(params["state"], ContactState),
        list_id=id_in(params["list"]),
        tag_id=id_in(params["tag"]),
        deleted=bool(params["deleted"]),
    )


@post("/contacts/bulk")
async def bulk(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """One act for all rows that were ticked, or for all that the table's filter matches: at once where they are few,
    else by the daemon."""
    scope, form = request.auth.scope, await Form.of(request)
    act, back = one_of(form.text("act"), Act), PATH + "?deleted=1" if form.flag("deleted") else PATH
    ids, chosen = chosen_by(form)
    if act is None or (chosen is None and not ids):
        return done(site, back, NOTHING_CHOSEN, "warning")
    name = form.text(_NAME_FIELDS[act]) if act in _NAME_FIELDS else ""
    if act in _NAME_FIELDS and not name:
        raise InvalidInput("write the tag's name first" if "tag" in act else "choose a list first")
    wanted = BulkRequest(act, name, contact_ids=ids, chosen=chosen)
    async with site.rt.db.write(scope) as tx:
        job = await do_at_once(tx, scope, wanted, now=site.rt.clock.now())
    if job.state == JobState.DONE:
        return done(
            site,
            back,
            DONE[act].format(people=counted(job.result["changed"], "contact", "contacts"), name=name),
        )
    whom = counted(job.total or 0, "contact", "contacts")
    return done(site, f"/jobs/{job.id}", f"{whom} will be gone through", "info")


@post("/contacts/export", opt={NEEDS: Grant.READ, FRESH: True})
async def export(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A file of those that were ticked, or of all that the table's filter matches; the daemon makes it."""
    scope, form = request.auth.scope, await Form.of(request)
    ids, chosen = chosen_by(form)
    if chosen is None and not ids:
        return done(site, PATH, NOTHING_CHOSEN, "warning")
    wanted = Choice(chosen=chosen, contact_ids=ids)
    async with site.rt.db.write(scope) as tx:
        job: Job = await exports.queue(
            tx, scope, wanted, one_of(form.text("format"), Format) or Format.CSV, clock=site.rt.clock
        )
    return done(site, f"/jobs/{job.id}", "The export has begun", "info")


def chosen_by(form: Form) -> tuple[tuple[int, ...] | None, Filter | None]:
    """The rows that were ticked, or the filter where `all` was."""
    if form.flag("all"):
        return None, filter_of({name: form.text(name) for name in FILTERS})
    return tuple(form.ids()), None
