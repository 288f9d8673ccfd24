"""Lists of contacts: what there is, who is on each, how people get onto one."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Grant
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns import list_removal
from mailengine.domain.campaigns.uses import uses
from mailengine.domain.contacts import lists
from mailengine.models import ContactList, MemberState
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, page_of, params_of
from mailengine.web.rendering import html
from mailengine.web.site import Site

PATH = "/lists"
# How one gets onto a list, as the filter of the page names it.
KINDS: dict[str, dict[str, bool]] = {
    "single": {"double_opt_in": False},
    "double": {"double_opt_in": True},
    "public": {"public": True},
}


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every list; who is on it is asked for by the page, because on many contacts that takes a while."""
    async with site.rt.db.read(request.auth.scope) as tx:
        listing = await _listing(tx, request)
    return await page(
        site, request, "pages/lists.html", listing=listing, counts=listing.beside(f"{PATH}/counts")
    )


@get(f"{PATH}/counts")
async def counts(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Who is on each list of a page: pieces of it."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        ids = [row.id for row in (await _listing(tx, request)).rows if row.id is not None]
        by_state = await lists.member_counts(tx, scope, list_ids=ids)
    return html(site.render("fragments/list_counts.html", members=by_state, states=list(MemberState)))


@get("/lists/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """An empty form."""
    request.auth.scope.require(Grant.EDIT)
    return await form_page(site, request, "pages/list_form.html", Form(), row=None)


@post("/lists/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a list."""
    scope, form, now = request.auth.scope, await Form.of(request), site.rt.clock.now()
    with form.checking(_where(form)):
        async with site.rt.db.write(scope) as tx:
            row = await lists.create_list(tx, scope, name=form.text("name"), now=now, **_settings(form))
        return done(site, PATH, f"The list {row.name} was made")
    return await form_page(site, request, "pages/list_form.html", form, row=None)


@get("/lists/{list_id:int}")
async def edit(request: UserRequest, site: NamedDependency[Site], list_id: FromPath[int]) -> Response[str]:
    """How people get onto the list, and what they are told of it."""
    row = await _row(site, request, list_id)
    values = {
        "name": row.name,
        "description": row.description,
        "double_opt_in": "1" if row.double_opt_in else None,
        "public": "1" if row.public else None,
    }
    return await _show_one(site, request, Form(values), row)


@get("/lists/{list_id:int}/members")
async def members(request: UserRequest, site: NamedDependency[Site], list_id: FromPath[int]) -> Response[str]:
    """How many are on it, and the button that takes them off: a piece of the page."""
    row, scope = await _row(site, request, list_id), request.auth.scope
    async with site.rt.db.read(scope) as tx:
        number = await lists.people_on(tx, scope, list_id=list_id)
    values = {"row": row, "people": number, "csrf": request.auth.csrf_token}
    return html(site.render("fragments/list_members.html", **values))


@post("/lists/{list_id:int}/delete")
async def delete(request: UserRequest, site: NamedDependency[Site], list_id: FromPath[int]) -> Response[Any]:
    """The scheduler takes off who is on it."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        row = await list_removal.delete_list(tx, scope, list_id=list_id, now=site.rt.clock.now())
    return done(site, PATH, f"The list {row.name} was deleted")


@post("/lists/{list_id:int}")
async def change(request: UserRequest, site: NamedDependency[Site], list_id: FromPath[int]) -> Response[Any]:
    """Who is on it stays on it."""
    scope, form, now = request.auth.scope, await Form.of(request), site.rt.clock.now()
    row = await _row(site, request, list_id)
    with form.checking(_where(form)):
        async with site.rt.db.write(scope) as tx:
            await lists.update_list(
                tx, scope, list_id=list_id, name=form.text("name"), now=now, **_settings(form)
            )
        return done(site, PATH, "The list was saved")
    return await _show_one(site, request, form, row)


async def _show_one(site: Site, request: UserRequest, form: Form, row: ContactList) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        used = await uses(tx, scope, row)
    return await form_page(site, request, "pages/list_form.html", form, row=row, used=used)


async def _listing(tx: ReadTx, request: UserRequest) -> Listing[ContactList]:
    params = params_of(request, "kind")
    wanted = KINDS.get(params["kind"], {})
    found = await lists.list_lists(tx, request.auth.scope, page=page_of(params), text=params["q"], **wanted)
    return Listing(PATH, params, found, "list", "lists")


async def _row(site: Site, request: UserRequest, list_id: int) -> ContactList:
    """Raises NotFound, also for another tenant's; Forbidden for who may only look."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        return await lists.get_by_id(tx, scope, list_id=list_id)


def _settings(form: Form) -> dict[str, Any]:
    return {
        "description": form.text("description"),
        "double_opt_in": form.flag("double_opt_in"),
        "public": form.flag("public"),
    }


def _where(form: Form) -> str:
    """The field at which a refusal is said: the description is only ever too long."""
    with form.checking("description"):
        lists.check_description(form.text("description"))
    return "description" if form.error("description") else "name"
