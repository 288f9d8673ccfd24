"""Custom fields of contacts: which there are; another kind or name for one, and removing it."""

from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import Page
from mailengine.core.scope import Grant, Scope
from mailengine.domain.campaigns import attribute_changes
from mailengine.domain.campaigns.attribute_changes import Change
from mailengine.domain.campaigns.attribute_uses import uses
from mailengine.domain.contacts import attributes, retyping
from mailengine.models import AttributeKind
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, one_of, params_of
from mailengine.web.rendering import html
from mailengine.web.site import Site

PATH = "/attributes"
LOOKED_AT = 5_000  # contacts, whose values are read to count who has one: 20 ms


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list; its name is what tells it from the others."""

    id: str
    label: str
    kind: str


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """By name, all of them: there are a hundred at most."""
    scope, params = request.auth.scope, params_of(request, "kind")
    kind = one_of(params["kind"], AttributeKind)
    async with site.rt.db.read(scope) as tx:
        found = await attributes.list_attributes(tx, scope, text=params["q"], kind=kind)
    lines = [Line(row.name, row.label, row.kind) for row in found]
    listing = Listing(PATH, params, Page(lines, len(lines), None), "attribute", "attributes")
    return await page(site, request, "pages/attributes.html", listing=listing, kinds=list(AttributeKind))


@get("/attributes/{name:str}")
async def edit(request: UserRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[str]:
    """Another kind or name for one, or its end."""
    return await _show(site, request, Form(), name)


@post("/attributes/{name:str}")
async def retype(request: UserRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[Any]:
    """The daemon reads every value anew; the job's page follows it."""
    scope, form = request.auth.scope, await Form.of(request)
    await _known(site, scope, name)
    with form.checking("kind"):
        kind = one_of(form.text("kind"), AttributeKind)
        if kind is None:
            raise InvalidInput("choose a kind")
        async with site.rt.db.write(scope) as tx:
            job = await retyping.request_retype(
                tx, scope, name=name, kind=kind, drop=form.flag("drop"), now=site.rt.clock.now()
            )
        return done(site, f"/jobs/{job.id}", f"Every value of {name} is read anew")
    return await _show(site, request, form, name)


@get("/attributes/{name:str}/holders")
async def holders(request: UserRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[str]:
    """How many contacts have a value, and the button that takes it from them: a piece of the page."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        found = await retyping.get_attribute(tx, scope, name=name)
        number, whole = await attribute_changes.holders(tx, scope, name=name, among=LOOKED_AT)
    values = {"attribute": found, "holders": number, "whole": whole, "csrf": request.auth.csrf_token}
    return html(site.render("fragments/attribute_holders.html", **values))


@post("/attributes/{name:str}/rename")
async def rename(request: UserRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[Any]:
    """The daemon moves every value; the job's page follows it."""
    scope, form = request.auth.scope, await Form.of(request)
    await _known(site, scope, name)
    with form.checking("new_name"):
        if not form.text("new_name"):
            raise InvalidInput("write a name")
        return await _begin(site, request, Change(name, form.text("new_name")))
    return await _show(site, request, form, name)


@post("/attributes/{name:str}/delete")
async def remove(request: UserRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[Any]:
    """The daemon removes every value; the job's page follows it."""
    return await _begin(site, request, Change(name))


async def _known(site: Site, scope: Scope, name: str) -> None:
    """Raises NotFound: an attribute that is not there is no mistake in a field."""
    async with site.rt.db.read(scope) as tx:
        await retyping.get_attribute(tx, scope, name=name)


async def _begin(site: Site, request: UserRequest, change: Change) -> Response[Any]:
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        job = await attribute_changes.request(tx, scope, change, now=site.rt.clock.now())
    return done(site, f"/jobs/{job.id}", "Every contact is gone through", "info")


async def _show(site: Site, request: UserRequest, form: Form, name: str) -> Response[str]:
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        found = await retyping.get_attribute(tx, scope, name=name)
        used = await uses(tx, scope, name=name)
    kinds = list(AttributeKind)
    return await form_page(
        site, request, "pages/attribute.html", form, attribute=found, kinds=kinds, used=used
    )
