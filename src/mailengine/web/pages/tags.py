"""Tags: what there is and who carries it; making, renaming, merging, deleting."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Grant
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns import tag_removal
from mailengine.domain.campaigns.uses import uses
from mailengine.domain.contacts import tag_changes, tags
from mailengine.models import Tag
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Kind, Menu, menu
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.listing import Listing, either, page_of, params_of
from mailengine.web.rendering import html
from mailengine.web.site import Site

PATH = "/tags"


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """By name; how many contacts carry each is asked for by the page, because on many contacts that takes a while."""
    return await _show(site, request, Form())


@get(f"{PATH}/counts")
async def counts(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """How many contacts carry each tag of a page: pieces of it."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        rows = (await _listing(tx, request)).rows
        carriers = await tags.counts(tx, scope, tag_ids=[row.id for row in rows if row.id is not None])
    return html(site.render("fragments/tag_counts.html", carriers=carriers))


@post(PATH)
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A tag that nobody carries yet."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("name"):
        async with site.rt.db.write(scope) as tx:
            tag = await tags.create_tag(tx, scope, name=form.text("name"), now=site.rt.clock.now())
        return done(site, PATH, f"The tag {tag.name} was made")
    return await _show(site, request, form)


@get("/tags/{tag_id:int}")
async def edit(request: UserRequest, site: NamedDependency[Site], tag_id: FromPath[int]) -> Response[str]:
    """Another name, or another tag in its place."""
    return await _show_one(site, request, Form(), tag_id)


@post("/tags/{tag_id:int}")
async def rename(request: UserRequest, site: NamedDependency[Site], tag_id: FromPath[int]) -> Response[Any]:
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.read(scope) as read:
        await tags.get_by_id(read, scope, tag_id=tag_id)
    with form.checking("name"):
        async with site.rt.db.write(scope) as tx:
            tag = await tag_changes.rename(
                tx, scope, tag_id=tag_id, name=form.text("name"), now=site.rt.clock.now()
            )
        return done(site, PATH, f"The tag is called {tag.name} now")
    return await _show_one(site, request, form, tag_id)


@post("/tags/{tag_id:int}/merge")
async def merge(request: UserRequest, site: NamedDependency[Site], tag_id: FromPath[int]) -> Response[Any]:
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.read(scope) as read:
        await tags.get_by_id(read, scope, tag_id=tag_id)
    with form.checking("into"):
        async with site.rt.db.write(scope) as tx:
            tag = await tag_changes.merge(
                tx, scope, tag_id=tag_id, into=form.text("into"), now=site.rt.clock.now()
            )
        return done(site, PATH, f"It is one with {tag.name} now")
    return await _show_one(site, request, form, tag_id)


@post("/tags/{tag_id:int}/delete")
async def delete(request: UserRequest, site: NamedDependency[Site], tag_id: FromPath[int]) -> Response[Any]:
    """It is taken off everybody; while something uses it, it is kept."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        tag = await tag_removal.delete_tag(tx, scope, tag_id=tag_id, now=site.rt.clock.now())
    return done(site, PATH, f"The tag {tag.name} was deleted")


async def _show(site: Site, request: UserRequest, form: Form) -> Response[str]:
    async with site.rt.db.read(request.auth.scope) as tx:
        listing = await _listing(tx, request)
    return await form_page(
        site, request, "pages/tags.html", form, listing=listing, counts=listing.beside(f"{PATH}/counts")
    )


async def _listing(tx: ReadTx, request: UserRequest) -> Listing[Tag]:
    params = params_of(request, "used")
    chosen = either(params["used"])
    found = await tags.list_tags(
        tx, request.auth.scope, page=page_of(params), text=params["q"], carried=chosen
    )
    return Listing(PATH, params, found, "tag", "tags")


async def _show_one(site: Site, request: UserRequest, form: Form, tag_id: int) -> Response[str]:
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        tag = await tags.get_by_id(tx, scope, tag_id=tag_id)
        carriers = (await tags.counts(tx, scope, tag_ids=[tag_id]))[tag_id]
        offered = await menu(tx, scope, Kind.TAGS)
        used = await uses(tx, scope, tag)
    others = Menu([row for row in offered.rows if row.id != tag_id], offered.many)
    values = {"tag": tag, "carriers": carriers, "others": others, "used": used}
    return await form_page(site, request, "pages/tag.html", form, **values)
