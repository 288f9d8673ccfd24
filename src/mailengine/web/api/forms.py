"""Sign-up forms over the API."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from mailengine.core.scope import Scope
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.signup import forms
from mailengine.domain.signup.embed import embed_code
from mailengine.domain.signup.forms import FormFields
from mailengine.models import SignupForm
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    Line,
    Name,
    PageOf,
    Search,
    page_request,
)
from mailengine.web.site import Site

ListNames = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=100)]
Wording = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=NO_NUL)]


class FormShape(msgspec.Struct):
    """`url` is its public page, `embed` the HTML for a page of your own, `wording` what people agree to."""

    id: int
    name: str
    title: str
    intro: str
    wording: str
    list_ids: list[int]
    ask_name: bool
    enabled: bool
    url: str
    embed: str
    created_at: datetime
    updated_at: datetime


class NewForm(Given):
    """Lists by name. Without title and wording it has the organisation's name and a usual sentence."""

    name: Name
    lists: ListNames
    title: Name | None = None
    intro: Line | None = None
    wording: Wording | None = None
    ask_name: bool = False
    enabled: bool = True


class FormChange(Given):
    """What is left out stays."""

    name: Name | None = None
    lists: ListNames | None = None
    title: Name | None = None
    intro: Line | None = None
    wording: Wording | None = None
    ask_name: bool | None = None
    enabled: bool | None = None


class Forms(Controller):
    """Public pages by which people put themselves on lists."""

    path = "/forms"
    tags = ("forms",)

    @get(**READ, summary="List the forms")
    async def list_forms(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        enabled: FromQuery[bool | None] = None,
    ) -> PageOf[FormShape]:
        """By id; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = await forms.list_forms(
                tx, caller, page=page_request(limit, cursor), text=search or "", enabled=enabled
            )
        return PageOf([shape(site, row) for row in page.items], page.total, page.next)

    @post(**WRITE, summary="Make a form")
    async def create_form(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewForm]
    ) -> FormShape:
        """Its page is there at once."""
        fields = FormFields(**msgspec.structs.asdict(data))
        async with site.rt.db.write(caller) as tx:
            organisation = (await get_tenant(tx, caller)).name
            now = site.rt.clock.now()
            return shape(
                site, await forms.create_form(tx, caller, fields, organisation=organisation, now=now)
            )

    @get("/{form_id:int}", **READ_ONE, summary="Get a form")
    async def get_form(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], form_id: Id
    ) -> FormShape:
        async with site.rt.db.read(caller) as tx:
            return shape(site, await forms.get_by_id(tx, caller, form_id=form_id))

    @patch("/{form_id:int}", **WRITE, summary="Change a form")
    async def change_form(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        form_id: Id,
        data: JSONBody[FormChange],
    ) -> FormShape:
        fields = FormFields(**msgspec.structs.asdict(data))
        async with site.rt.db.write(caller) as tx:
            return shape(
                site,
                await forms.update_form(tx, caller, form_id=form_id, fields=fields, now=site.rt.clock.now()),
            )

    @delete("/{form_id:int}", **WRITE, summary="Delete a form")
    async def delete_form(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], form_id: Id
    ) -> None:
        """Whoever signed up by it stays."""
        async with site.rt.db.write(caller) as tx:
            await forms.delete_form(tx, caller, form_id=form_id, now=site.rt.clock.now())


def shape(site: Site, row: SignupForm) -> FormShape:
    assert row.id is not None
    base_url = site.rt.settings.base_url
    return FormShape(
        row.id,
        row.name,
        row.title,
        row.intro,
        row.wording,
        row.list_ids,
        row.ask_name,
        row.enabled,
        f"{base_url}/f/{row.uid}",
        embed_code(row, base_url),
        row.created_at,
        row.updated_at,
    )
