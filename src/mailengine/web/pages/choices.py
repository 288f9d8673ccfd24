"""Lists, tags and segments to choose from: a menu where there are few, a search by name where there are many, because
nobody finds one among a thousand, and a page with all of them would be megabytes."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import lists, tags
from mailengine.domain.contacts.segments import saved
from mailengine.models import ContactList, Segment, Tag
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest
from mailengine.web.rendering import html
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

FEW = PageRequest(limit=100, count=False)  # that a menu shows
FOUND = PageRequest(limit=20, count=False)  # that a search shows
MOST_TICKED = 200  # boxes that stay while one searches for others; a page of ours ticks no more
_MAX_CHARS = 200


class Kind(StrEnum):
    """What there is to choose; the word of an address."""

    LISTS = "lists"
    TAGS = "tags"
    SEGMENTS = "segments"


@dataclass(frozen=True, slots=True)
class Menu:
    """The first of them; `many`: there are more, so one is searched for."""

    rows: Sequence[Any]
    many: bool


async def menu(
    tx: ReadTx, scope: Scope, kind: Kind, *, text: str = "", request: PageRequest | None = None
) -> Menu:
    """Those whose name holds the text."""
    page = request or FEW
    found: Page[ContactList] | Page[Tag] | Page[Segment]
    if kind is Kind.LISTS:
        found = await lists.list_lists(tx, scope, page=page, text=text)
    elif kind is Kind.TAGS:
        found = await tags.list_tags(tx, scope, page=page, text=text)
    else:
        found = await saved.list_segments(tx, scope, page=page, text=text)
    return Menu(found.items, found.next is not None)


async def chosen(tx: ReadTx, scope: Scope, kind: Kind, ids: Sequence[int]) -> list[Any]:
    """The rows with these ids, in their order; what is not there, or another tenant's, is left out."""
    by_id: dict[Kind, Callable[[int], Awaitable[Any]]] = {
        Kind.LISTS: lambda key: lists.get_by_id(tx, scope, list_id=key),
        Kind.TAGS: lambda key: tags.get_by_id(tx, scope, tag_id=key),
        Kind.SEGMENTS: lambda key: saved.get_by_id(tx, scope, segment_id=key),
    }
    rows = []
    for key in dict.fromkeys(ids[:MOST_TICKED]):
        with suppress(NotFound):
            rows.append(await by_id[kind](key))
    return rows


async def boxes(tx: ReadTx, scope: Scope, kind: Kind, ids: Sequence[int]) -> Menu:
    """For boxes to tick: those that are ticked stand among them, however many there are."""
    offered = await menu(tx, scope, kind)
    there = {row.id for row in offered.rows}
    missing = await chosen(tx, scope, kind, [key for key in ids if key not in there])
    return Menu([*offered.rows, *missing], offered.many)


async def id_named(tx: ReadTx, scope: Scope, kind: Kind, name: str) -> int:
    """The list or tag that is called so; 0, which is none, for a name that nothing has."""
    with suppress(NotFound, InvalidInput):
        if kind is Kind.LISTS:
            return (await lists.get_list(tx, scope, name=name)).id or 0
        return (await tags.get_tag(tx, scope, name=name)).id or 0
    return 0


@get("/choices/{kind:str}")
async def names(
    request: UserRequest, site: NamedDependency[Site], kind: FromPath[str], of: FromQuery[str] = "q"
) -> Response[str]:
    """What begins to be typed in the field `of` may go on as: options of a datalist."""
    scope, text = request.auth.scope, _typed(str(request.query_params.get(of, "")))
    async with site.rt.db.read(scope) as tx:
        found = await menu(tx, scope, _kind(kind), text=text, request=FOUND)
    return html(site.render("fragments/choice_names.html", rows=found.rows))


@post("/choices/{kind:str}/boxes", status_code=200, opt={NEEDS: Grant.READ})
async def found_boxes(
    request: UserRequest, site: NamedDependency[Site], kind: FromPath[str], of: FromQuery[str] = ""
) -> Response[str]:
    """The boxes of the field `of` that are ticked, and those whose name holds what was typed. Nothing is stored."""
    scope, form = request.auth.scope, await Form.of(request)
    ids = form.ids(of)
    async with site.rt.db.read(scope) as tx:
        ticked = await chosen(tx, scope, _kind(kind), ids)
        found = await menu(tx, scope, _kind(kind), text=_typed(form.text(f"find_{of}")), request=FOUND)
    there = {row.id for row in ticked}
    rows = [*ticked, *(row for row in found.rows if row.id not in there)]
    return html(site.render("fragments/choice_boxes.html", name=of, rows=rows, ticked=there, more=found.many))


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError as error:
        raise NotFound("there is nothing of that kind to choose") from error


def _typed(text: str) -> str:
    return text.replace("\x00", "").strip()[:_MAX_CHARS]
