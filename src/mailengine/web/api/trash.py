"""Deleted campaigns and templates over the API; deleted contacts are `GET /contacts?deleted=true`."""

from datetime import datetime

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency

from mailengine.core.scope import Scope
from mailengine.domain.campaigns import trash
from mailengine.models import Campaign, Template
from mailengine.web.api.shapes import (
    READ,
    WRITE,
    Cursor,
    Id,
    Limit,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site


class Deleted(msgspec.Struct):
    """Can be restored until 30 days after `deleted_at`."""

    id: int
    name: str
    deleted_at: datetime


def shape(row: Campaign | Template) -> Deleted:
    assert row.id is not None
    assert row.deleted_at is not None
    return Deleted(row.id, row.name, row.deleted_at)


class Trash(Controller):
    """What was deleted and can be brought back."""

    path = "/trash"
    tags = ("trash",)

    @get("/campaigns", **READ, summary="List deleted campaigns")
    async def campaigns(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
    ) -> PageOf[Deleted]:
        """Newest first; `search` looks into names."""
        page = page_request(limit, cursor)
        async with site.rt.db.read(caller) as tx:
            return page_of(
                await trash.deleted_campaigns(
                    tx, caller, now=site.rt.clock.now(), page=page, text=search or ""
                ),
                shape,
            )

    @get("/templates", **READ, summary="List deleted templates")
    async def templates(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
    ) -> PageOf[Deleted]:
        """Newest first; `search` looks into names."""
        page = page_request(limit, cursor)
        async with site.rt.db.read(caller) as tx:
            return page_of(
                await trash.deleted_templates(
                    tx, caller, now=site.rt.clock.now(), page=page, text=search or ""
                ),
                shape,
            )

    @post(
        "/campaigns/{campaign_id:int}/restore",
        status_code=204,
        **WRITE,
        summary="Restore a deleted campaign",
    )
    async def restore_campaign(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], campaign_id: Id
    ) -> None:
        async with site.rt.db.write(caller) as tx:
            await trash.restore_campaign(tx, caller, campaign_id=campaign_id, now=site.rt.clock.now())

    @post(
        "/templates/{template_id:int}/restore",
        status_code=204,
        **WRITE,
        summary="Restore a deleted template",
    )
    async def restore_template(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], template_id: Id
    ) -> None:
        async with site.rt.db.write(caller) as tx:
            await trash.restore_template(tx, caller, template_id=template_id, now=site.rt.clock.now())
