"""Drafts: create, read, update, duplicate, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import CampaignId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns.states import DELETABLE, require_draft
from mailengine.domain.contacts.lists import get_list
from mailengine.domain.contacts.queries import contains
from mailengine.domain.contacts.segments import saved
from mailengine.domain.content.templates import get_template
from mailengine.domain.senders.relays import get_relay
from mailengine.mail.address import parse_address, parse_mailbox
from mailengine.mail.headers import check_header_value
from mailengine.models import Campaign, CampaignState, ContactList, Relay, Segment, Template

MAX_SUBJECT = 998  # the longest header line (RFC 5322 2.1.1); what is sensible is far less


@dataclass(frozen=True, slots=True)
class Fields:
    """What a person says about a campaign; None leaves a value as it is (or at its default)."""

    name: str | None = None
    template: str | None = None
    lists: Sequence[str] | None = None
    subject: str | None = None
    sender: str | None = None  # "Acme <news@example.org>"
    reply_to: str | None = None
    relay: str | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None
    segments: Sequence[str] | None = None
    exclude_lists: Sequence[str] | None = None
    exclude_segments: Sequence[str] | None = None
    audience_later: bool = False  # a draft may be without one for now; the checklist refuses to send it


async def create(tx: WriteTx, scope: Scope, fields: Fields, *, now: datetime) -> Campaign:
    """A draft; raises InvalidInput, NotFound (template, list, relay), Conflict (name)."""
    scope.require(Grant.EDIT)
    missing = [
        label
        for label, value in (
            ("a name", fields.name),
            ("a template", fields.template),
            ("a list or a segment", fields.lists or fields.segments or fields.audience_later),
            ("a subject", fields.subject),
            ("a sender", fields.sender),
        )
        if not value
    ]
    if missing:
        raise InvalidInput(f"a campaign needs {', '.join(missing)}")
    campaign = Campaign(
        tenant_id=scope.tenant_id,
        name="",
        template_id=0,
        subject="",
        from_email="",
        created_at=now,
        updated_at=now,
    )
    tenant = await get_tenant(tx, scope)
    campaign.track_opens, campaign.track_clicks = tenant.track_opens, tenant.track_clicks
    await _apply(tx, scope, campaign, fields)
    await _store(tx, campaign)
    await audit.record(tx, scope, "campaign.create", "campaign", campaign.id, now=now)
    return campaign


async def update(
    tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, fields: Fields, now: datetime
) -> Campaign:
    """Change a draft; raises Conflict once it was launched."""
    scope.require(Grant.EDIT)
    campaign = await get(tx, scope, campaign_id=campaign_id)
    require_draft(campaign)
    await _apply(tx, scope, campaign, fields)
    campaign.updated_at = now
    await _store(tx, campaign)
    await audit.record(tx, scope, "campaign.update", "campaign", campaign.id, now=now)
    return campaign


async def duplicate(
    tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, name: str, now: datetime
) -> Campaign:
    """A new draft with the same contents."""
    scope.require(Grant.EDIT)
    source = await get(tx, scope, campaign_id=campaign_id)
    copied = source.model_dump(
        include={
            "tenant_id", "template_id", "subject", "from_name", "from_email", "reply_to",
            "list_ids", "segment_ids", "excluded_list_ids", "excluded_segment_ids",
            "relay_id", "track_opens", "track_clicks",
        }
    )  # fmt: skip
    campaign = Campaign(**copied, name=_checked_name(name), created_at=now, updated_at=now)
    await _store(tx, campaign)
    await audit.record(tx, scope, "campaign.create", "campaign", campaign.id, now=now, copied=source.id)
    return campaign


async def delete(tx: WriteTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Campaign:
    """Soft delete; raises Conflict while it is being sent."""
    scope.require(Grant.EDIT)
    campaign = await get(tx, scope, campaign_id=campaign_id)
    if campaign.state not in DELETABLE:
        first = "unschedule" if campaign.state == CampaignState.SCHEDULED else "cancel"
        raise Conflict(f"campaign {campaign.name} is {campaign.state}; {first} it first")
    campaign.deleted_at = now
    await audit.record(tx, scope, "campaign.delete", "campaign", campaign.id, now=now)
    return campaign


async def get(tx: ReadTx, scope: Scope, *, campaign_id: int) -> Campaign:
    """Raises NotFound."""
    campaign = await tx.scalar(_present(scope).where(col(Campaign.id) == campaign_id))
    if campaign is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return campaign


async def get_by_name(tx: ReadTx, scope: Scope, *, name: str) -> Campaign:
    """Raises NotFound."""
    campaign = await tx.scalar(_present(scope).where(col(Campaign.name) == name))
    if campaign is None:
        raise NotFound(f"there is no campaign called {name}; see `mailengine campaign list`")
    return campaign


@dataclass(frozen=True, slots=True)
class Described:
    """The names behind a campaign's ids; a list that was deleted keeps its own, relay None is the first."""

    template: str
    lists: list[str]
    relay: str | None
    segments: list[str]
    excluded_lists: list[str]
    excluded_segments: list[str]


async def describe(tx: ReadTx, scope: Scope, campaign: Campaign) -> Described:
    template = await tx.scalar(owned(Template, scope).where(col(Template.id) == campaign.template_id))
    relay = await tx.scalar(owned(Relay, scope).where(col(Relay.id) == campaign.relay_id))
    return Described(
        template=template.name if template else "",
        lists=await _names(tx, scope, ContactList, campaign.list_ids),
        relay=relay.name if relay else None,
        segments=await _names(tx, scope, Segment, campaign.segment_ids),
        excluded_lists=await _names(tx, scope, ContactList, campaign.excluded_list_ids),
        excluded_segments=await _names(tx, scope, Segment, campaign.excluded_segment_ids),
    )


async def _names(
    tx: ReadTx, scope: Scope, model: type[ContactList] | type[Segment], ids: Sequence[int]
) -> list[str]:
    if not ids:
        return []
    table = table_of(model).c
    rows = await tx.scalars(
        sa.select(table.name).where(table.tenant_id == scope.tenant_id, table.id.in_(ids)).order_by(table.id)
    )
    return [str(name) for name in rows]


async def list_campaigns(
    tx: ReadTx,
    scope: Scope,
    *,
    state: str | None = None,
    text: str = "",
    request: PageRequest | None = None,
) -> Page[Campaign]:
    """Newest first; `text` restricts to names that hold it."""
    query = _present(scope)
    if text:
        query = query.where(contains(col(Campaign.name), text))
    if state is not None:
        if state not in set(CampaignState):
            raise InvalidInput(f"{state} is no campaign state; use one of {', '.join(CampaignState)}")
        query = query.where(col(Campaign.state) == state)
    return await keyset_page(tx, query, col(Campaign.id), request or PageRequest(), newest_first=True)


def _present(scope: Scope) -> "sa.Select[Campaign]":
    return owned(Campaign, scope).where(col(Campaign.deleted_at).is_(None))


async def _apply(tx: WriteTx, scope: Scope, campaign: Campaign, fields: Fields) -> None:
    if fields.name is not None:
        campaign.name = _checked_name(fields.name)
    if fields.template is not None:
        template = await get_template(tx, scope, name=fields.template)
        assert template.id is not None
        campaign.template_id = template.id
    if fields.lists is not None:
        campaign.list_ids = [await _list_id(tx, scope, name) for name in _given(fields.lists)]
    if fields.segments is not None:
        campaign.segment_ids = [await _segment_id(tx, scope, name) for name in _given(fields.segments)]
    if fields.exclude_lists is not None:
        campaign.excluded_list_ids = [
            await _list_id(tx, scope, name) for name in _given(fields.exclude_lists)
        ]
    if fields.exclude_segments is not None:
        campaign.excluded_segment_ids = [
            await _segment_id(tx, scope, name) for name in _given(fields.exclude_segments)
        ]
    if not (campaign.list_ids or campaign.segment_ids or fields.audience_later):
        raise InvalidInput("a campaign needs a list or a segment")
    if fields.subject is not None:
        campaign.subject = _checked_subject(fields.subject)
    if fields.sender is not None:
        mailbox = parse_mailbox(fields.sender)
        campaign.from_name = check_header_value(mailbox.name)
        campaign.from_email = mailbox.address.email
    if fields.reply_to is not None:
        campaign.reply_to = parse_address(fields.reply_to).email if fields.reply_to else ""
    if fields.relay is not None:
        campaign.relay_id = (await get_relay(tx, scope, name=fields.relay)).id
    if fields.track_opens is not None:
        campaign.track_opens = fields.track_opens
    if fields.track_clicks is not None:
        campaign.track_clicks = fields.track_clicks


def _given(names: Sequence[str]) -> list[str]:
    """Each name once; a blank one says that there is none any more."""
    return [name for name in dict.fromkeys(names) if name.strip()]


async def _segment_id(tx: ReadTx, scope: Scope, name: str) -> int:
    found = await saved.get(tx, scope, name=name)
    assert found.id is not None
    return found.id


async def _list_id(tx: WriteTx, scope: Scope, name: str) -> int:
    found = await get_list(tx, scope, name=name, keep=True)
    assert found.id is not None
    return found.id


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise InvalidInput("a campaign's name must have 1 to 200 characters")
    return name


def _checked_subject(subject: str) -> str:
    subject = check_header_value(subject).strip()
    if not 1 <= len(subject) <= MAX_SUBJECT:
        raise InvalidInput(f"a subject must have 1 to {MAX_SUBJECT} characters")
    return subject


async def _store(tx: WriteTx, campaign: Campaign) -> None:
    name = campaign.name
    try:
        tx.add(campaign)
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is already a campaign called {name}") from error
