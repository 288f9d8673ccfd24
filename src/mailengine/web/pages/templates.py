"""Templates: the grid, the editor with its preview, versions, duplicates, test messages."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.content import templates, versions
from mailengine.domain.content.templates import Prepared
from mailengine.domain.content.values import BUILT_IN_TAGS, CONTACT_TAGS, LINK_TAGS, TENANT_TAGS
from mailengine.domain.delivery.rehearse import Trial, send_template
from mailengine.models import Template
from mailengine.web.forms import Form, sentence
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, page_of, params_of
from mailengine.web.site import Site

PATH = "/templates"
CARDS = 24
# What a new template begins with: all that a message must have, in a form that every mail program shows.
START = """<!doctype html>
<html>
<body style="margin:0;background:#f4f4f5">
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0">
    <tr><td align="center" style="padding:24px">
      <table role="presentation" width="600" cellpadding="0" cellspacing="0"
        style="max-width:600px;background:#ffffff">
        <tr><td style="padding:32px;font-family:Arial,sans-serif;font-size:16px;line-height:24px;color:#18181b">
          <h1 style="margin:0 0 16px;font-size:24px">Hello {{ first_name|default("there") }}</h1>
          <p style="margin:0 0 16px">Write your message here.</p>
        </td></tr>
        <tr><td style="padding:16px 32px;font-family:Arial,sans-serif;font-size:12px;color:#52525b">
          {{ organisation }}, {{ postal_address }}<br>
          <a href="{{ unsubscribe_url }}">Unsubscribe</a> · <a href="{{ view_online_url }}">View online</a>
        </td></tr>
      </table>
    </td></tr>
  </table>
</body>
</html>
"""


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The grid; a category is a tab."""
    scope, params = request.auth.scope, params_of(request, "category")
    async with site.rt.db.read(scope) as tx:
        found = await templates.list_templates(
            tx,
            scope,
            category=params["category"] or None,
            text=params["q"],
            request=page_of(params, limit=CARDS),
        )
        tabs = await versions.categories(tx, scope)
    listing = Listing(PATH, params, found, "template", "templates")
    return await page(site, request, "pages/templates.html", listing=listing, categories=tabs)


@get("/templates/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The editor with a message to begin with."""
    return await _editor(site, request, Form({"html": START, "text_mode": "generated"}), None)


@post("/templates/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a template."""
    scope, form = request.auth.scope, await Form.of(request)
    prepared = await _prepared(site, scope, form)
    with form.checking("name"):
        if prepared is not None:
            async with site.rt.db.write(scope) as tx:
                row = await templates.add(
                    tx,
                    scope,
                    name=form.text("name"),
                    category=form.text("category"),
                    prepared=prepared,
                    now=site.rt.clock.now(),
                )
            return done(site, f"{PATH}/{row.id}/edit", saved_words(row, prepared))
    return await _editor(site, request, form, None)


@get("/templates/{template_id:int}/edit")
async def edit(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int]
) -> Response[str]:
    """The editor."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        row = await templates.get(tx, scope, template_id=template_id)
        version = await templates.newest(tx, scope, template_id=template_id)
    form = Form(
        {
            "name": row.name,
            "category": row.category,
            "html": version.source,
            "text": version.text,
            "text_mode": "own" if version.text_is_own else "generated",
        }
    )
    return await _editor(site, request, form, row)


@post("/templates/{template_id:int}/edit")
async def change(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int]
) -> Response[Any]:
    """Save what changed as a new version."""
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.read(scope) as read:
        row = await templates.get(read, scope, template_id=template_id)
    prepared = await _prepared(site, scope, form)
    with form.checking("name"):
        if prepared is not None:
            async with site.rt.db.write(scope) as tx:
                row = await templates.update(
                    tx,
                    scope,
                    template_id=template_id,
                    name=form.text("name"),
                    category=form.text("category"),
                    prepared=prepared,
                    now=site.rt.clock.now(),
                )
            return done(site, f"{PATH}/{template_id}/edit", saved_words(row, prepared))
    return await _editor(site, request, form, row)


async def _prepared(site: Site, scope: Scope, form: Form) -> Prepared | None:
    """Sanitised before any transaction that writes; what is wrong with it is said at the editor."""
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        known = BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))
    own = form.value("text") if form.text("text_mode") == "own" else None
    with form.checking("html"):
        return await templates.prepare(form.value("html"), own_text=own, known=known)
    return None


def saved_words(row: Template, prepared: Prepared) -> str:
    """What saving did, and what it took out."""
    words = f"Saved as version {row.version}"
    if prepared.removed:
        words += "; taken out: " + ", ".join(part.what for part in prepared.removed[:3])
    unknown = [problem.name for problem in prepared.unknown if problem.name]
    if unknown:
        words += "; no contact has yet: " + ", ".join(unknown[:3])
    return words


async def _editor(site: Site, request: UserRequest, form: Form, row: Template | None) -> Response[str]:
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        labels = await attribute_labels(tx, scope)
        known = await versions.categories(tx, scope)
    guide = [
        ("The recipient", [*CONTACT_TAGS, *labels]),
        ("Links", LINK_TAGS),
        ("The organisation", TENANT_TAGS),
    ]
    return await form_page(
        site, request, "pages/template_form.html", form, template=row, guide=guide, categories=known
    )


@get("/templates/{template_id:int}/versions")
async def history(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int]
) -> Response[str]:
    """Every save, newest first."""
    scope, params = request.auth.scope, params_of(request)
    async with site.rt.db.read(scope) as tx:
        row = await templates.get(tx, scope, template_id=template_id)
        found = await versions.list_versions(tx, scope, template_id=template_id, request=page_of(params))
    listing = Listing(f"{PATH}/{template_id}/versions", params, found, "version", "versions")
    return await page(site, request, "pages/template_versions.html", template=row, listing=listing)


@get("/templates/{template_id:int}/versions/{version:int}")
async def compare(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int], version: FromPath[int]
) -> Response[str]:
    """What a version changed against the one before it, or what has changed since."""
    scope, against = request.auth.scope, params_of(request, "with")["with"]
    other = int(against) if against.isdecimal() and len(against) < 10 else max(1, version - 1)
    async with site.rt.db.read(scope) as tx:
        row = await templates.get(tx, scope, template_id=template_id)
        old, new = [
            await versions.get_version(tx, scope, template_id=template_id, version=number)
            for number in sorted((other, version))
        ]
    lines = await versions.difference(old, new)
    return await page(
        site,
        request,
        "pages/template_version.html",
        template=row,
        old=old,
        new=new,
        lines=lines,
        shown=version,
    )


@post("/templates/{template_id:int}/versions/{version:int}")
async def restore(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int], version: FromPath[int]
) -> Response[Any]:
    """Make an old version the newest."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        row = await versions.restore(
            tx, scope, template_id=template_id, version=version, now=site.rt.clock.now()
        )
    return done(site, f"{PATH}/{template_id}/edit", f"Version {version} is back, as version {row.version}")


@post("/templates/{template_id:int}/{act:str}")
async def act(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int], act: FromPath[str]
) -> Response[Any]:
    """Duplicate, delete, send a test."""
    scope, now = request.auth.scope, site.rt.clock.now()
    async with site.rt.db.read(scope) as read:
        row = await templates.get(read, scope, template_id=template_id)
    if act == "duplicate":
        async with site.rt.db.write(scope) as tx:
            name = await _free_name(tx, scope, row.name)
            copy = await templates.duplicate(tx, scope, template_id=template_id, name=name, now=now)
        return done(site, f"{PATH}/{copy.id}/edit", f"This is the copy, {copy.name}")
    if act == "delete":
        async with site.rt.db.write(scope) as tx:
            await templates.delete(tx, scope, template_id=template_id, now=now)
        return done(site, PATH, f"{row.name} was deleted")
    if act == "test":
        return await _send_test(site, scope, row, (await Form.of(request)).text("address"))
    raise NotFound("there is no such page")


async def _free_name(tx: Any, scope: Scope, name: str) -> str:
    """`Spring (copy)`, `Spring (copy 2)` …"""
    taken = await templates.list_templates(tx, scope, text=name[:180], request=PageRequest(limit=1000))
    names = {row.name for row in taken.items}
    tries = (f"{name[:180]} (copy{'' if number == 1 else f' {number}'})" for number in range(1, 1002))
    return next(tried for tried in tries if tried not in names)


async def _send_test(site: Site, scope: Scope, row: Template, address: str) -> Response[Any]:
    report = await send_template(
        site.rt.db,
        scope,
        Trial(template=row.name, address=address),
        keyring=site.rt.keyring,
        settings=site.rt.settings,
        now=site.rt.clock.now(),
    )
    back = f"{PATH}/{row.id}/edit"
    failed = next((step for step in report.steps if not step.ok), None)
    if failed is None:
        return done(site, back, f"The test message is on its way to {address}")
    return done(site, back, sentence(f"{failed.name} failed: {failed.words}"), "error")
