"""Templates as messages, for frames: a page of their own origin and policy, where nothing of them can act on us."""

from html import escape

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.contacts.browsing import Filter, Order, browse
from mailengine.domain.content import merge, templates, versions
from mailengine.domain.content.blocks import all_blocks
from mailengine.domain.content.merge import resolve_blocks
from mailengine.domain.content.preview import person_of, preview
from mailengine.domain.content.snapshots import Sources
from mailengine.domain.content.values import BUILT_IN_TAGS, Person
from mailengine.web.forms import Form, sentence
from mailengine.web.pages.frame import UserRequest
from mailengine.web.rendering import html
from mailengine.web.security import FRAMED_BY_US, MAIL_CSP
from mailengine.web.site import Site

HEADERS = {"Content-Security-Policy": MAIL_CSP + FRAMED_BY_US}
SAMPLE = Person("ann.example@example.org", "Ann", "Example", {})


@get("/templates/{template_id:int}/preview")
async def show(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int]
) -> Response[str]:
    """The newest version."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        await templates.get(tx, scope, template_id=template_id)
        version = await templates.newest(tx, scope, template_id=template_id)
    return await _rendered(site, scope, version.html)


@get("/templates/{template_id:int}/versions/{version:int}/preview")
async def show_version(
    request: UserRequest, site: NamedDependency[Site], template_id: FromPath[int], version: FromPath[int]
) -> Response[str]:
    """An old version."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        found = await versions.get_version(tx, scope, template_id=template_id, version=version)
    return await _rendered(site, scope, found.html)


@post("/templates/preview", status_code=200)
async def typed(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """What stands in the editor, cleaned as saving would clean it. Nothing is stored."""
    scope, form = request.auth.scope, await Form.of(request)
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        known = BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))
    try:
        prepared = await templates.prepare(form.value("html"), known=known)
    except InvalidInput as error:
        return _fault(site, str(error))
    return await _rendered(site, scope, prepared.html)


@post("/templates/text", status_code=200)
async def text(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The plain text that saving what stands in the editor would make: what programs show that know no HTML."""
    scope, form = request.auth.scope, await Form.of(request)
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        known = BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))
    try:
        words = (await templates.prepare(form.value("html"), known=known)).text
    except InvalidInput as error:
        words = sentence(str(error))
    return html(escape(words))


async def _rendered(site: Site, scope: Scope, source: str) -> Response[str]:
    """The message as somebody would see it: the first contact, or a made-up person."""
    async with site.rt.db.read(scope) as tx:
        person, tenant = await _anybody(tx, scope), await get_tenant(tx, scope)
        blocks = await all_blocks(tx, scope)
    try:
        sources = Sources("", resolve_blocks(source, blocks), "")
        seen = await preview(sources, person, tenant, base_url=site.rt.settings.base_url)
    except (InvalidInput, merge.RenderError) as error:
        return _fault(site, str(error))
    return html(seen.html, headers=HEADERS)


async def _anybody(tx: ReadTx, scope: Scope) -> Person:
    found = (
        await browse(tx, scope, Filter(), page=PageRequest(limit=1, count=False), order=Order.OLDEST)
    ).items
    return person_of(found[0]) if found else SAMPLE


def _fault(site: Site, words: str) -> Response[str]:
    """In the frame, where the message would be; status 200, because a message half typed is nothing wrong."""
    return html(site.render("fragments/preview_fault.html", words=sentence(words)), headers=HEADERS)
