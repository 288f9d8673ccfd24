"""Templates over the API."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.scope import Grant, Scope
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.contacts.contacts import get_contact
from mailengine.domain.content import templates
from mailengine.domain.content.preview import person_of, preview
from mailengine.domain.content.templates import Prepared
from mailengine.domain.content.values import BUILT_IN_TAGS
from mailengine.models import Template
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Document,
    Email,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

CategoryName = Annotated[str, msgspec.Meta(max_length=100, pattern=NO_NUL)]
Category = Annotated[str | None, QueryParameter(max_length=100, pattern=NO_NUL)]


class TemplateShape(msgspec.Struct):
    """What is known of a template, without its content."""

    id: int
    name: str
    category: str
    version: int
    created_at: datetime
    updated_at: datetime


class TemplateContent(TemplateShape):
    """`source` is what was given, `html` the sanitised form that is sent; `text` is made from it unless
    `text_is_own`."""

    source: str
    html: str
    text: str
    text_is_own: bool


class RemovedPart(msgspec.Struct):
    """Something that sanitising took out; `line` is the source's where it is known."""

    what: str
    line: int | None


class SavedTemplate(TemplateShape):
    """`removed` is what sanitising took out, `unknown_tags` what no contact has yet."""

    removed: list[RemovedPart]
    unknown_tags: list[str]


class NewTemplate(Given):
    """Without `text`, the plain text is made from the HTML."""

    name: Name
    html: Document
    text: Document | None = None
    category: CategoryName = ""


class TemplateChange(Given):
    """What is left out stays; new content becomes a new version."""

    name: Name | None = None
    category: CategoryName | None = None
    html: Document | None = None
    text: Document | None = None


class PreviewOf(Given):
    """The contact whose values are merged, and a subject to try."""

    contact: Email
    subject: Line = ""


class Preview(msgspec.Struct):
    """A message as the contact would get it; its links lead nowhere."""

    subject: str
    html: str
    text: str


class Templates(Controller):
    """What messages look like."""

    path = "/templates"
    tags = ("templates",)

    @get(**READ, summary="List templates")
    async def list_templates(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        category: Category = None,
        search: Search = None,
    ) -> PageOf[TemplateShape]:
        """By id; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = await templates.list_templates(
                tx, caller, category=category, text=search or "", request=page_request(limit, cursor)
            )
        return page_of(page, shape)

    @get("/{template_id:int}", **READ_ONE, summary="Get a template")
    async def get_template(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], template_id: Id
    ) -> TemplateContent:
        async with site.rt.db.read(caller) as tx:
            row = await templates.get(tx, caller, template_id=template_id)
            version = await templates.newest(tx, caller, template_id=template_id)
        return msgspec.convert(version.model_dump() | row.model_dump(), TemplateContent)

    @post(**WRITE, summary="Add a template")
    async def create_template(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewTemplate]
    ) -> SavedTemplate:
        """The HTML is sanitised: no script, no event handler, no external code."""
        prepared = await prepare(site, caller, data.html, data.text)
        async with site.rt.db.write(caller) as tx:
            row = await templates.add(
                tx,
                caller,
                name=data.name,
                category=data.category,
                prepared=prepared,
                now=site.rt.clock.now(),
            )
        return saved(row, prepared)

    @patch("/{template_id:int}", **WRITE, summary="Change a template")
    async def change_template(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        template_id: Id,
        data: JSONBody[TemplateChange],
    ) -> SavedTemplate:
        """Campaigns under way keep what they have."""
        prepared = None
        if data.html is not None or data.text is not None:
            async with site.rt.db.read(caller) as tx:
                await templates.get(tx, caller, template_id=template_id)
                version = await templates.newest(tx, caller, template_id=template_id)
            own_text = data.text if data.text is not None or not version.text_is_own else version.text
            html = data.html if data.html is not None else version.source
            prepared = await prepare(site, caller, html, own_text)
        async with site.rt.db.write(caller) as write_tx:
            row = await templates.update(
                write_tx,
                caller,
                template_id=template_id,
                name=data.name,
                category=data.category,
                prepared=prepared,
                now=site.rt.clock.now(),
            )
        return saved(row, prepared)

    @delete("/{template_id:int}", **WRITE, summary="Delete a template")
    async def delete_template(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], template_id: Id
    ) -> None:
        """Not while a draft uses it."""
        async with site.rt.db.write(caller) as tx:
            await templates.delete(tx, caller, template_id=template_id, now=site.rt.clock.now())

    @post(
        "/{template_id:int}/preview",
        status_code=200,
        opt={NEEDS: Grant.READ},  # a POST for the size of what it is given; nothing changes
        **WRITE,
        summary="See a template as a contact",
    )
    async def preview_template(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        template_id: Id,
        data: JSONBody[PreviewOf],
    ) -> Preview:
        """Changes nothing."""
        async with site.rt.db.read(caller) as tx:
            await templates.get(tx, caller, template_id=template_id)
            sources = await templates.sources_of(tx, caller, template_id=template_id, subject=data.subject)
            person = person_of(await get_contact(tx, caller, address=data.contact))
            tenant = await get_tenant(tx, caller)
        seen = await preview(sources, person, tenant, base_url=site.rt.settings.base_url)
        return Preview(seen.subject, seen.html, seen.text)


async def prepare(site: Site, scope: Scope, html: str, text: str | None) -> Prepared:
    """Sanitised and checked, before any transaction that writes."""
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        known = BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))
    return await templates.prepare(html, own_text=text, known=known)


def shape(row: Template) -> TemplateShape:
    return msgspec.convert(row.model_dump(), TemplateShape)


def saved(row: Template, prepared: Prepared | None) -> SavedTemplate:
    removed = [RemovedPart(part.what, part.where_line) for part in prepared.removed] if prepared else []
    unknown = [problem.name for problem in prepared.unknown if problem.name] if prepared else []
    return msgspec.convert(row.model_dump() | {"removed": removed, "unknown_tags": unknown}, SavedTemplate)
