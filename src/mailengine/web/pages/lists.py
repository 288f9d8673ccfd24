"""Lists of contacts, and the addresses that must not be mailed."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import Page
from mailengine.core.scope import Grant
from mailengine.domain.contacts import lists, suppression
from mailengine.models import SuppressionKind
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.site import Site

PATH = "/lists"
SUPPRESSION = "/suppression"


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every list with its members."""
    scope, params = request.auth.scope, params_of(request)
    async with site.rt.db.read(scope) as tx:
        found = await lists.list_lists(tx, scope, page=page_of(params), text=params["q"])
        ids = [row.id for row in found.items if row.id is not None]
        members = await lists.member_counts(tx, scope, list_ids=ids)
    listing = Listing(PATH, params, found, "list", "lists")
    return await page(site, request, "pages/lists.html", listing=listing, members=members)


@get("/lists/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """An empty form."""
    request.auth.scope.require(Grant.EDIT)
    return await form_page(site, request, "pages/list_form.html", Form())


@post("/lists/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a list."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("name"):
        async with site.rt.db.write(scope) as tx:
            row = await lists.create_list(tx, scope, name=form.text("name"), now=site.rt.clock.now())
        return done(site, PATH, f"The list {row.name} was made")
    return await form_page(site, request, "pages/list_form.html", form)


@get(SUPPRESSION)
async def suppressed(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """What must not be mailed, newest first."""
    return await _suppression(site, request, Form())


@post(SUPPRESSION)
async def suppress(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add addresses and domains, one a line."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("targets"):
        targets = [
            suppression.parse_target(line) for line in form.text("targets").split("\n") if line.strip()
        ]
        if not targets:
            raise InvalidInput("write an address or a domain, one a line")
        scope.require(Grant.EDIT)
        async with site.rt.db.write(scope) as tx:
            new = await suppression.suppress_all(
                tx, scope, targets, reason="manual", source="page", now=site.rt.clock.now()
            )
        return done(site, SUPPRESSION, f"{new:,} added to the suppression list")
    return await _suppression(site, request, form)


@post("/suppression/remove")
async def unsuppress(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Allow mail again, of those rows that were ticked."""
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.write(scope) as tx:
        removed = await suppression.unsuppress_ids(tx, scope, ids=form.ids(), now=site.rt.clock.now())
    words = f"{removed:,} taken off the suppression list" if removed else "Nothing was selected"
    return done(site, SUPPRESSION, words, "success" if removed else "warning")


async def _suppression(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "kind")
    async with site.rt.db.read(scope) as tx:
        found: Page[Any] = await suppression.list_suppressions(
            tx, scope, page=page_of(params), kind=one_of(params["kind"], SuppressionKind), text=params["q"]
        )
    listing = Listing(SUPPRESSION, params, found, "entry", "entries")
    return await form_page(site, request, "pages/suppression.html", form, listing=listing)
