"""Deleted campaigns and templates: listed apart, brought back within 30 days, emptied by the scheduler after that
(P16-03).

Figures stay: a campaign that was sent keeps its row, its ledger and the links that old messages lead to, and loses
its content. What nothing speaks of any more is removed.
"""

from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped
from sqlmodel import col

from mailengine.core.errors import Conflict, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.contacts import RESTORABLE
from mailengine.domain.contacts.queries import contains
from mailengine.models import Campaign, CampaignState, Snapshot, Template, TemplateVersion

Kept = TypeVar("Kept", Campaign, Template)
_KINDS: dict[type[Any], str] = {Campaign: "campaign", Template: "template"}


async def deleted_campaigns(
    tx: ReadTx,
    scope: Scope,
    *,
    now: datetime,
    page: PageRequest,
    text: str = "",
    within: timedelta | None = None,
) -> Page[Campaign]:
    """Those that can be brought back, newest first; `text` restricts to names that hold it, `within` to those that
    are erased by then."""
    query = owned(Campaign, scope).where(*_restorable(col(Campaign.deleted_at), now, within))
    if text:
        query = query.where(contains(col(Campaign.name), text))
    return await keyset_page(tx, query, col(Campaign.id), page, newest_first=True)


async def deleted_templates(
    tx: ReadTx,
    scope: Scope,
    *,
    now: datetime,
    page: PageRequest,
    text: str = "",
    within: timedelta | None = None,
) -> Page[Template]:
    """Those that can be brought back, newest first; `text` restricts to names that hold it, `within` to those that
    are erased by then."""
    query = owned(Template, scope).where(*_restorable(col(Template.deleted_at), now, within))
    if text:
        query = query.where(contains(col(Template.name), text))
    return await keyset_page(tx, query, col(Template.id), page, newest_first=True)


def _restorable(
    deleted_at: Mapped[datetime | None], now: datetime, within: timedelta | None
) -> list[sa.ColumnElement[bool]]:
    since = [deleted_at >= now - RESTORABLE]
    return since if within is None else [*since, deleted_at < now + within - RESTORABLE]


async def restore_campaign(tx: WriteTx, scope: Scope, *, campaign_id: int, now: datetime) -> Campaign:
    """As it was; raises NotFound after RESTORABLE, Conflict when its name was given to another."""
    query = owned(Campaign, scope).where(col(Campaign.id) == campaign_id)
    found = await tx.scalar(query.where(col(Campaign.deleted_at) >= now - RESTORABLE))
    return await _restore(tx, scope, found, Campaign, campaign_id, now)


async def restore_template(tx: WriteTx, scope: Scope, *, template_id: int, now: datetime) -> Template:
    """As it was; raises NotFound after RESTORABLE, Conflict when its name was given to another."""
    query = owned(Template, scope).where(col(Template.id) == template_id)
    found = await tx.scalar(query.where(col(Template.deleted_at) >= now - RESTORABLE))
    return await _restore(tx, scope, found, Template, template_id, now)


async def newest_deleted(tx: ReadTx, scope: Scope, model: type[Any], *, name: str, now: datetime) -> int:
    """The id of what was deleted last under this name; raises NotFound."""
    columns = table_of(model).c
    found = await tx.scalar(
        sa.select(columns.id)
        .where(
            columns.tenant_id == scope.tenant_id, columns.name == name, columns.deleted_at >= now - RESTORABLE
        )
        .order_by(columns.deleted_at.desc())
        .limit(1)
    )
    if found is None:
        raise NotFound(f"there is no deleted {_KINDS[model]} called {name}")
    return int(found)


async def _restore(
    tx: WriteTx, scope: Scope, found: Kept | None, model: type[Kept], wanted_id: int, now: datetime
) -> Kept:
    scope.require(Grant.EDIT)
    kind = _KINDS[model]
    if found is None:
        raise NotFound(f"there is no deleted {kind} {wanted_id} that could be restored")
    try:
        async with tx.begin_nested():
            found.deleted_at, found.updated_at = None, now
            await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is another {kind} of this name now; rename that one first") from error
    await audit.record(tx, scope, f"{kind}.restore", kind, wanted_id, now=now)
    return found


async def empty(tx: WriteTx, _instance: InstanceScope, *, before: datetime) -> dict[str, int]:
    """Erase what was deleted before that moment, in every tenant."""
    figures = {
        "drafts": await _remove_drafts(tx, before),
        "contents": await _empty_snapshots(tx, before),
        "versions": await _remove_versions(tx, before),
        "templates": await _remove_templates(tx, before),
    }
    return {name: count for name, count in figures.items() if count}


async def _remove_drafts(tx: WriteTx, before: datetime) -> int:
    campaigns = table_of(Campaign).c
    gone = sa.delete(Campaign).where(
        campaigns.deleted_at < before, campaigns.state == CampaignState.DRAFT, campaigns.launched_at.is_(None)
    )
    return await _count(tx, gone)


async def _empty_snapshots(tx: WriteTx, before: datetime) -> int:
    campaigns, snapshots = table_of(Campaign).c, table_of(Snapshot).c
    old = sa.select(campaigns.id).where(campaigns.deleted_at < before)
    emptied = (
        sa.update(Snapshot)
        .where(snapshots.campaign_id.in_(old), sa.or_(snapshots.html != "", snapshots.text != ""))
        .values(html="", text="", subject="")
    )
    return await _count(tx, emptied)


async def _remove_versions(tx: WriteTx, before: datetime) -> int:
    templates = table_of(Template).c
    old = sa.select(templates.id).where(templates.deleted_at < before)
    return await _count(tx, sa.delete(TemplateVersion).where(col(TemplateVersion.template_id).in_(old)))


async def _remove_templates(tx: WriteTx, before: datetime) -> int:
    templates = table_of(Template).c
    used = sa.select(col(Campaign.template_id))
    return await _count(
        tx, sa.delete(Template).where(templates.deleted_at < before, templates.id.not_in(used))
    )


async def _count(tx: WriteTx, statement: sa.Delete | sa.Update) -> int:
    connection = await tx.connection()
    return (await connection.execute(statement)).rowcount
