"""Snapshots: all that a campaign sends, frozen at launch.

`build` does the work (spintax, tracked links) outside any transaction; `store` writes the row.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.ids import CampaignId, SnapshotId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.content.links import rewrite
from mailengine.domain.content.spintax import to_jinja
from mailengine.models import Snapshot


@dataclass(frozen=True, slots=True)
class Sources:
    """What a person wrote: subject, sanitised HTML and text, blocks resolved."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Built:
    """What is stored: Jinja sources ready to compile, and the links by index."""

    subject: str
    html: str
    text: str
    links: list[str]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a message is from; `relay`-independent."""

    from_name: str
    from_email: str
    reply_to: str = ""


async def build(sources: Sources, *, track_opens: bool, track_clicks: bool) -> Built:
    """Turn sources into what is sent; in a thread, because it takes milliseconds of CPU."""
    return await asyncio.to_thread(_build, sources, track_opens, track_clicks)


def _build(sources: Sources, track_opens: bool, track_clicks: bool) -> Built:
    rewritten = rewrite(to_jinja(sources.html), to_jinja(sources.text), click=track_clicks, opens=track_opens)
    return Built(
        subject=to_jinja(sources.subject),
        html=rewritten.html,
        text=rewritten.text,
        links=list(rewritten.links),
    )


async def store(
    tx: WriteTx,
    scope: Scope,
    *,
    campaign_id: CampaignId,
    built: Built,
    sender: Sender,
    organisation: str,
    postal_address: str,
    now: datetime,
) -> SnapshotId:
    """Write the snapshot of a campaign that is being launched."""
    snapshot = Snapshot(
        tenant_id=scope.tenant_id,
        campaign_id=campaign_id,
        subject=built.subject,
        from_name=sender.from_name,
        from_email=sender.from_email,
        reply_to=sender.reply_to,
        html=built.html,
        text=built.text,
        links=built.links,
        settings={"organisation": organisation, "postal_address": postal_address},
        created_at=now,
    )
    tx.add(snapshot)
    await tx.flush()
    assert snapshot.id is not None
    return SnapshotId(snapshot.id)


async def load(tx: ReadTx, scope: Scope, *, snapshot_id: int) -> Snapshot:
    """A snapshot of the tenant; raises NotFound."""
    snapshot = await tx.scalar(owned(Snapshot, scope).where(col(Snapshot.id) == snapshot_id))
    if snapshot is None:
        raise NotFound(f"there is no snapshot {snapshot_id}")
    return snapshot
