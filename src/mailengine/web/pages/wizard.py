"""A campaign step by step (P4-06): content, audience, delivery; the review is `review`. Each step is saved into the
draft."""

from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import CampaignId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns import campaigns
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.campaigns.states import require_draft
from mailengine.domain.contacts import lists
from mailengine.domain.contacts.segments import saved
from mailengine.domain.content.templates import list_templates
from mailengine.domain.senders.domains import list_domains
from mailengine.domain.senders.relays import list_relays
from mailengine.mail.address import parse_address
from mailengine.models import Campaign
from mailengine.web.forms import Form
from mailengine.web.pages.choices import FEW, Kind, boxes
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.site import Site

PATH = "/campaigns"
CHOICES = PageRequest(limit=1000)


@dataclass(frozen=True, slots=True)
class Step:
    """`key` is the last part of its address."""

    key: str
    label: str


STEPS = (
    Step("content", "Content"),
    Step("audience", "Audience"),
    Step("delivery", "Delivery"),
    Step("review", "Review"),
)


@get("/campaigns/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The first step of a campaign that is not there yet."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        domains, tenant = (await list_domains(tx, scope)).items, await get_tenant(tx, scope)
    sender = f"news@{domains[0].domain}" if domains else ""
    return await _content(site, request, Form({"from_email": sender, "from_name": tenant.name}), None)


@post("/campaigns/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Make the draft; from then on each step changes it."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking(where(form)):
        async with site.rt.db.write(scope) as tx:
            row = await campaigns.create(tx, scope, _content_of(form), now=site.rt.clock.now())
        return done(site, f"{PATH}/{row.id}/audience", "The draft was saved")
    return await _content(site, request, form, None)


@get("/campaigns/{campaign_id:int}/content")
async def content(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """What is sent, and in whose name."""
    row = await draft_of(site, request, campaign_id)
    async with site.rt.db.read(request.auth.scope) as tx:
        names = await campaigns.describe(tx, request.auth.scope, row)
    form = Form(
        {
            "name": row.name,
            "subject": row.subject,
            "template": names.template,
            "from_name": row.from_name,
            "from_email": row.from_email,
            "reply_to": row.reply_to,
        }
    )
    return await _content(site, request, form, row)


@post("/campaigns/{campaign_id:int}/content")
async def save_content(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    """Save and go on to the audience."""
    form = await Form.of(request)
    with form.checking(where(form)):
        await _update(site, request, campaign_id, _content_of(form))
        return done(site, f"{PATH}/{campaign_id}/audience", "The draft was saved")
    return await _content(site, request, form, await draft_of(site, request, campaign_id))


@get("/campaigns/{campaign_id:int}/audience")
async def audience(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """Who gets it."""
    row = await draft_of(site, request, campaign_id)
    chosen = {
        "lists": row.list_ids,
        "segments": row.segment_ids,
        "not_lists": row.excluded_list_ids,
        "not_segments": row.excluded_segment_ids,
    }
    return await _audience(site, request, Form(chosen), row)


@post("/campaigns/{campaign_id:int}/audience")
async def save_audience(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    """Save and go on to the delivery."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("lists"):
        async with site.rt.db.read(scope) as tx:
            fields = Fields(
                lists=await _list_names(tx, scope, form.ids("lists")),
                segments=await _segment_names(tx, scope, form.ids("segments")),
                exclude_lists=await _list_names(tx, scope, form.ids("not_lists")),
                exclude_segments=await _segment_names(tx, scope, form.ids("not_segments")),
            )
        if not (fields.lists or fields.segments):
            raise InvalidInput("choose at least one list or segment")
        await _update(site, request, campaign_id, fields)
        return done(site, f"{PATH}/{campaign_id}/delivery", "The draft was saved")
    return await _audience(site, request, form, await draft_of(site, request, campaign_id))


async def _list_names(tx: ReadTx, scope: Scope, ids: list[int]) -> list[str]:
    """Raises NotFound for another tenant's."""
    return [(await lists.get_by_id(tx, scope, list_id=key)).name for key in ids]


async def _segment_names(tx: ReadTx, scope: Scope, ids: list[int]) -> list[str]:
    """Raises NotFound for another tenant's."""
    return [(await saved.get_by_id(tx, scope, segment_id=key)).name for key in ids]


@get("/campaigns/{campaign_id:int}/delivery")
async def delivery(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """By which server, and what is counted."""
    row = await draft_of(site, request, campaign_id)
    async with site.rt.db.read(request.auth.scope) as tx:
        names = await campaigns.describe(tx, request.auth.scope, row)
    form = Form({"relay": names.relay or ""})
    return await _delivery(site, request, form, row)


@post("/campaigns/{campaign_id:int}/delivery")
async def save_delivery(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    """Save and go on to the review."""
    form = await Form.of(request)
    with form.checking("relay"):
        fields = Fields(
            relay=form.text("relay") or None,
            track_opens=form.flag("track_opens"),
            track_clicks=form.flag("track_clicks"),
            audience_later=True,
        )
        await _update(site, request, campaign_id, fields)
        return done(site, f"{PATH}/{campaign_id}/review", "The draft was saved")
    return await _delivery(site, request, form, await draft_of(site, request, campaign_id))


def _content_of(form: Form) -> Fields:
    return Fields(
        name=form.text("name"),
        template=form.text("template"),
        subject=form.text("subject"),
        sender=mailbox(form.text("from_name"), form.text("from_email")),
        reply_to=form.text("reply_to"),
        audience_later=True,
    )


def mailbox(name: str, address: str) -> str:
    """Both as one From address (RFC 5322, section 3.4): the name quoted, whatever it holds."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name else address


def where(form: Form) -> str:
    """The field at which a refusal is said: one that is empty or no address, else the name, which can be taken."""
    for name in ("name", "subject", "template", "from_email"):
        if not form.text(name):
            return name
    for name in ("from_email", "reply_to"):
        with form.checking(name):
            if form.text(name):
                parse_address(form.text(name))
        if form.error(name):
            return name
    return "name"


async def draft_of(site: Site, request: UserRequest, campaign_id: int) -> Campaign:
    """Raises NotFound, Conflict for one that was launched, Forbidden for who may only look."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        row = await campaigns.get(tx, scope, campaign_id=campaign_id)
    require_draft(row)
    return row


async def _update(site: Site, request: UserRequest, campaign_id: int, fields: Fields) -> None:
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await campaigns.update(
            tx, scope, campaign_id=CampaignId(campaign_id), fields=fields, now=site.rt.clock.now()
        )


async def _content(site: Site, request: UserRequest, form: Form, row: Campaign | None) -> Response[str]:
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        offered = (await list_templates(tx, scope, request=CHOICES)).items
    return await form_page(
        site, request, "pages/campaign_content.html", form,
        campaign=row, templates=offered, steps=STEPS, step="content",
    )  # fmt: skip


async def _audience(site: Site, request: UserRequest, form: Form, row: Campaign) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        offered = {
            name: await boxes(tx, scope, kind, form.ids(name))
            for name, kind in (
                ("lists", Kind.LISTS),
                ("segments", Kind.SEGMENTS),
                ("not_lists", Kind.LISTS),
                ("not_segments", Kind.SEGMENTS),
            )
        }
    return await form_page(
        site, request, "pages/campaign_audience.html", form,
        campaign=row, menus=offered, few=FEW.limit, steps=STEPS, step="audience",
    )  # fmt: skip


async def _delivery(site: Site, request: UserRequest, form: Form, row: Campaign) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        relays = (await list_relays(tx, scope)).items
    return await form_page(
        site, request, "pages/campaign_delivery.html", form,
        campaign=row, relays=relays, steps=STEPS, step="delivery",
    )  # fmt: skip
