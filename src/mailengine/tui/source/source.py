"""Everything that screens may ask, under one name."""

from mailengine.core.errors import NotFound
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts.tenants import find_tenant, list_tenants
from mailengine.runtime import Runtime
from mailengine.tui.source.beat import Beat
from mailengine.tui.source.campaigns import Campaigns
from mailengine.tui.source.contacts import Contacts
from mailengine.tui.source.delivery import Delivery
from mailengine.tui.source.desk import Choice, Desk, whole
from mailengine.tui.source.imports import Imports
from mailengine.tui.source.jobs import Jobs
from mailengine.tui.source.logs import LogTail
from mailengine.tui.source.overview import Overview

ACTOR = "tui"  # in the audit log


class Source:
    """One per dashboard; its parts share the tenant that is looked at."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.beat = Beat(desk)
        self.overview = Overview(desk)
        self.campaigns = Campaigns(desk)
        self.contacts = Contacts(desk)
        self.imports = Imports(desk)
        self.delivery = Delivery(desk)
        self.jobs = Jobs(desk)

    def logs(self) -> LogTail:
        """The daemon's log on this machine, from its end."""
        return LogTail.of(self.desk.rt.settings)

    @whole
    async def tenants(self) -> list[Choice]:
        desk = self.desk
        async with desk.rt.db.read(desk.instance) as tx:
            found = await list_tenants(tx, desk.instance, request=PageRequest(MAX_PAGE))
        return [Choice(row.slug, row.name) for row in found.items]

    @whole
    async def switch(self, slug: str) -> None:
        """Look at another tenant; raises NotFound."""
        desk = self.desk
        async with desk.rt.db.read(desk.instance) as tx:
            desk.sit_at(await find_tenant(tx, desk.instance, slug=slug))


async def open_source(rt: Runtime, *, slug: str | None) -> Source:
    """Look at the tenant that was named, else at the first; raises NotFound where there is none."""
    instance = InstanceScope(ACTOR)
    async with rt.db.read(instance) as tx:
        if slug is not None:
            return Source(Desk(rt, instance, await find_tenant(tx, instance, slug=slug)))
        found = (await list_tenants(tx, instance, request=PageRequest(1))).items
    if not found:
        raise NotFound("there is no tenant yet; run `mailengine init` or `mailengine tenant add`")
    return Source(Desk(rt, instance, found[0]))
