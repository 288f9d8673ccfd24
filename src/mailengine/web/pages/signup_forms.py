"""Sign-up forms: what stands on their public pages, the code for other sites, and how they look."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts import lists
from mailengine.domain.signup import forms
from mailengine.domain.signup.embed import HONEYPOT, embed_code
from mailengine.domain.signup.forms import FormFields
from mailengine.models import SignupForm
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Kind, boxes
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, page_of, params_of
from mailengine.web.rendering import html, theme_of
from mailengine.web.security import FRAMED_BY_US, PAGE_CSP
from mailengine.web.site import Site

PATH = "/forms"
TEXTS = ("name", "title", "intro", "wording")
FRAMED = {"Content-Security-Policy": PAGE_CSP + FRAMED_BY_US}


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every form and where it stands."""
    scope, params = request.auth.scope, params_of(request, "state")
    enabled = {"on": True, "off": False}.get(params["state"])
    async with site.rt.db.read(scope) as tx:
        found = await forms.list_forms(tx, scope, page=page_of(params), text=params["q"], enabled=enabled)
        ids = {list_id for row in found.items for list_id in row.list_ids}
        names = {each.id: each.name for each in await forms.lists_of(tx, scope, sorted(ids))}
    listing = Listing(PATH, params, found, "form", "forms")
    return await page(
        site, request, "pages/forms.html", listing=listing, names=names, base_url=site.rt.settings.base_url
    )


@get("/forms/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """A form with the usual words in it."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        organisation = (await get_tenant(tx, scope)).name
    usual = {"title": organisation, "wording": forms.DEFAULT_WORDING.format(organisation=organisation)}
    return await _form(site, request, Form(usual), None)


@post("/forms/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Its page is there at once."""
    scope, form = request.auth.scope, await Form.of(request)
    fields = await _fields(site, scope, form)
    if fields is not None:
        with form.checking("name"):
            async with site.rt.db.write(scope) as tx:
                organisation = (await get_tenant(tx, scope)).name
                made = await forms.create_form(
                    tx, scope, fields, organisation=organisation, now=site.rt.clock.now()
                )
            return done(site, f"{PATH}/{made.id}", f"The form {made.name} was made; its page is there")
    return await _form(site, request, form, None)


@get("/forms/{form_id:int}")
async def edit(request: UserRequest, site: NamedDependency[Site], form_id: FromPath[int]) -> Response[str]:
    """The form, the code for other sites, and how it looks."""
    row = await _row(site, request, form_id)
    values = {name: getattr(row, name) for name in TEXTS}
    chosen = {
        "lists": row.list_ids,
        "ask_name": "1" if row.ask_name else None,
        "enabled": "1" if row.enabled else None,
    }
    return await _form(site, request, Form(values | chosen), row)


@post("/forms/{form_id:int}")
async def change(request: UserRequest, site: NamedDependency[Site], form_id: FromPath[int]) -> Response[Any]:
    """Who signed up before agreed to the words of then."""
    scope, form = request.auth.scope, await Form.of(request)
    row = await _row(site, request, form_id)
    fields = await _fields(site, scope, form)
    if fields is not None:
        with form.checking("name"):
            async with site.rt.db.write(scope) as tx:
                await forms.update_form(tx, scope, form_id=form_id, fields=fields, now=site.rt.clock.now())
            return done(site, f"{PATH}/{form_id}", "The form was saved")
    return await _form(site, request, form, row)


@post("/forms/{form_id:int}/delete")
async def delete(request: UserRequest, site: NamedDependency[Site], form_id: FromPath[int]) -> Response[Any]:
    """Whoever signed up by it stays."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        gone = await forms.delete_form(tx, scope, form_id=form_id, now=site.rt.clock.now())
    return done(site, PATH, f"The form {gone.name} was deleted")


@get("/forms/{form_id:int}/preview")
async def preview(request: UserRequest, site: NamedDependency[Site], form_id: FromPath[int]) -> Response[str]:
    """Its public page, for a frame of ours; also of one that is switched off."""
    row = await _row(site, request, form_id)
    body = site.render(
        "public/signup_preview.html", theme=theme_of(request), signup=row, form=Form(), honeypot=HONEYPOT,
        organisation=await _organisation(site, request.auth.scope),
    )  # fmt: skip
    return html(body, headers=FRAMED)


async def _organisation(site: Site, scope: Scope) -> str:
    async with site.rt.db.read(scope) as tx:
        return (await get_tenant(tx, scope)).name


async def _row(site: Site, request: UserRequest, form_id: int) -> SignupForm:
    """Raises NotFound, also for another tenant's."""
    async with site.rt.db.read(request.auth.scope) as tx:
        return await forms.get_by_id(tx, request.auth.scope, form_id=form_id)


async def _fields(site: Site, scope: Scope, form: Form) -> FormFields | None:
    """What was typed; None where something is wrong, which then stands at its field."""
    scope.require(Grant.EDIT)
    for name in TEXTS:
        with form.checking(name):
            forms.check_text(name, form.text(name))
    names: list[str] = []
    with form.checking("lists"):
        async with site.rt.db.read(scope) as tx:
            names = await _list_names(tx, scope, form.ids("lists"))
        if not names:
            raise InvalidInput("choose a list at least: that is where people are put")
    if form.failed:
        return None
    return FormFields(
        **{name: form.text(name) for name in TEXTS},
        lists=names,
        ask_name=form.flag("ask_name"),
        enabled=form.flag("enabled"),
    )


async def _list_names(tx: ReadTx, scope: Scope, ids: list[int]) -> list[str]:
    """Raises NotFound for another tenant's."""
    return [(await lists.get_by_id(tx, scope, list_id=each)).name for each in ids]


async def _form(site: Site, request: UserRequest, form: Form, row: SignupForm | None) -> Response[str]:
    scope, base_url = request.auth.scope, site.rt.settings.base_url
    async with site.rt.db.read(scope) as tx:
        offered = await boxes(tx, scope, Kind.LISTS, form.ids("lists"))
    return await form_page(
        site, request, "pages/form.html", form,
        signup=row, lists=offered,
        url=f"{base_url}/f/{row.uid}" if row else "", code=embed_code(row, base_url) if row else "",
    )  # fmt: skip
