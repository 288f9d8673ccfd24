"""Custom fields of contacts over the API: which there are; another kind or name for one, and removing it."""

from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from mailengine.core.scope import Scope
from mailengine.domain.campaigns import attribute_changes
from mailengine.domain.campaigns.attribute_changes import Change
from mailengine.domain.contacts import attributes, retyping
from mailengine.models import AttributeKind
from mailengine.web.api.jobs import JobShape
from mailengine.web.api.jobs import shape as job_shape
from mailengine.web.api.shapes import NO_NUL, READ, WRITE, Given, PageOf, Search, whole
from mailengine.web.site import Site

OfAttribute = Annotated[str, PathParameter(min_length=1, max_length=100, pattern=NO_NUL)]
OfKind = Annotated[AttributeKind | None, QueryParameter(name="kind")]


class AttributeShape(msgspec.Struct):
    """`name` is its merge tag, `label` what it is called in files."""

    name: str
    label: str
    kind: AttributeKind


class NewKind(Given):
    """With `drop` the values that are none of that kind are removed; without it they stop the job."""

    kind: AttributeKind
    drop: bool = False


class NewName(Given):
    """As a merge tag: a-z, 0-9 and _."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


class Attributes(Controller):
    """Custom fields of contacts; they come with imports and with the contacts that have them."""

    path = "/attributes"
    tags = ("attributes",)

    @get(**READ, summary="List the attributes")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        search: Search = None,
        of_kind: OfKind = None,
    ) -> PageOf[AttributeShape]:
        """By name, all of them; `search` looks into names and labels."""
        async with site.rt.db.read(caller) as tx:
            found = await attributes.list_attributes(tx, caller, text=search or "", kind=of_kind)
        return whole([AttributeShape(row.name, row.label, AttributeKind(row.kind)) for row in found])

    @post("/{name:str}/retype", status_code=202, **WRITE, summary="Make an attribute another kind")
    async def retype(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        name: OfAttribute,
        data: JSONBody[NewKind],
    ) -> JobShape:
        """Answered at once; the daemon reads every value anew. The job fails, and nothing is changed, where a value
        is none of that kind, unless it may be dropped."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            return job_shape(
                await retyping.request_retype(tx, caller, name=name, kind=data.kind, drop=data.drop, now=now)
            )

    @post("/{name:str}/rename", status_code=202, **WRITE, summary="Give an attribute another name")
    async def rename(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        name: OfAttribute,
        data: JSONBody[NewName],
    ) -> JobShape:
        """Answered at once; the daemon moves every value. Refused while a template, a campaign, a segment or a saved
        mapping uses the attribute. One of the same kind may have the new name already: the two become one."""
        return await self._change(site, caller, Change(name, data.name))

    @delete("/{name:str}", status_code=202, **WRITE, summary="Remove an attribute with all its values")
    async def remove(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], name: OfAttribute
    ) -> JobShape:
        """Answered at once; the daemon removes every value. Refused while a template, campaign, segment or saved
        mapping uses it."""
        return await self._change(site, caller, Change(name))

    async def _change(self, site: Site, caller: Scope, change: Change) -> JobShape:
        async with site.rt.db.write(caller) as tx:
            return job_shape(await attribute_changes.request(tx, caller, change, now=site.rt.clock.now()))
