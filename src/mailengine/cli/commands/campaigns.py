"""`mailengine campaign`: drafts, and what was sent. What starts, holds and follows a send is in `sending`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.db.unit import ReadTx, WriteTx
    from mailengine.models import Campaign
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The campaign's name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Template = Annotated[str | None, typer.Option(help="Name of the template.")]
Lists = Annotated[list[str] | None, typer.Option("--list", help="List to send to; can be repeated.")]
Segments = Annotated[
    list[str] | None,
    typer.Option("--segment", help="Only whom this segment describes; can be repeated, one is enough."),
]
WithoutLists = Annotated[
    list[str] | None, typer.Option("--exclude-list", help="Nobody of this list; can be repeated.")
]
WithoutSegments = Annotated[
    list[str] | None, typer.Option("--exclude-segment", help="Nobody of this segment; can be repeated.")
]
Subject = Annotated[str | None, typer.Option(help="Subject line; may hold merge tags and spintax.")]
Sender = Annotated[str | None, typer.Option("--from", help='"Acme <news@example.org>".')]
ReplyTo = Annotated[str | None, typer.Option(help="Where answers go; default: the sender.")]
Relay = Annotated[str | None, typer.Option(help="Relay to send by; default: the first.")]
Opens = Annotated[bool | None, typer.Option("--track-opens/--no-track-opens", help="Count opens.")]
Clicks = Annotated[bool | None, typer.Option("--track-clicks/--no-track-clicks", help="Count clicks.")]

Change = Callable[["WriteTx", "Scope", "Runtime"], Awaitable["Campaign"]]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="The campaign's name.")],
    template: Template = None,
    lists: Lists = None,
    segments: Segments = None,
    exclude_lists: WithoutLists = None,
    exclude_segments: WithoutSegments = None,
    subject: Subject = None,
    sender: Sender = None,
    reply_to: ReplyTo = None,
    relay: Relay = None,
    track_opens: Opens = None,
    track_clicks: Clicks = None,
    as_json: output.Json = False,
) -> None:
    """Make a draft; nothing is sent before `campaign send`."""
    from mailengine.domain.campaigns import campaigns

    fields = campaigns.Fields(
        name,
        template,
        lists,
        subject,
        sender,
        reply_to,
        relay,
        track_opens,
        track_clicks,
        segments,
        exclude_lists,
        exclude_segments,
    )
    _change(ctx, lambda tx, scope, rt: campaigns.create(tx, scope, fields, now=rt.clock.now()), as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    rename: Annotated[str | None, typer.Option(help="New name.")] = None,
    template: Template = None,
    lists: Lists = None,
    segments: Segments = None,
    exclude_lists: WithoutLists = None,
    exclude_segments: WithoutSegments = None,
    subject: Subject = None,
    sender: Sender = None,
    reply_to: ReplyTo = None,
    relay: Relay = None,
    track_opens: Opens = None,
    track_clicks: Clicks = None,
    as_json: output.Json = False,
) -> None:
    """Change a draft; lists and segments that are given replace those it had, "" takes them away."""
    from mailengine.domain.campaigns import campaigns

    fields = campaigns.Fields(
        rename,
        template,
        lists or None,
        subject,
        sender,
        reply_to,
        relay,
        track_opens,
        track_clicks,
        segments or None,
        exclude_lists or None,
        exclude_segments or None,
    )
    if fields == campaigns.Fields():
        raise InvalidInput("there is nothing to change; see `mailengine campaign update --help`")

    async def change(tx: "WriteTx", scope: "Scope", rt: "Runtime") -> "Campaign":
        campaign_id = await id_of(tx, scope, name)
        return await campaigns.update(tx, scope, campaign_id=campaign_id, fields=fields, now=rt.clock.now())

    _change(ctx, change, as_json)


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="draft, scheduled, sending, paused, sent or cancelled.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List the campaigns, newest first."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.campaigns.campaigns import list_campaigns

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Campaign]":
        async with rt.db.read(scope) as tx:
            return await list_campaigns(tx, scope, state=state, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("name", "state", "subject", "launched_at", "finished_at"),
        empty="no campaign yet; make one with `mailengine campaign create`",
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show what a campaign is made of."""
    from mailengine.domain.campaigns.campaigns import describe, get_by_name

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            campaign = await get_by_name(tx, scope, name=name)
            described = await describe(tx, scope, campaign)
        return {
            **_shown(campaign),
            "template": described.template,
            "lists": described.lists,
            "segments": described.segments,
            "excluded_lists": described.excluded_lists,
            "excluded_segments": described.excluded_segments,
            "relay": described.relay,
            "reply_to": campaign.reply_to or None,
            "track_opens": campaign.track_opens,
            "track_clicks": campaign.track_clicks,
            "scheduled_at": campaign.scheduled_at,
            "schedule_zone": campaign.schedule_zone,
            "schedule_faults": campaign.schedule_faults,
            "created_at": campaign.created_at,
        }

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def duplicate(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Name of the copy.")],
    as_json: output.Json = False,
) -> None:
    """Make a draft with the contents of another campaign."""
    from mailengine.domain.campaigns import campaigns

    async def change(tx: "WriteTx", scope: "Scope", rt: "Runtime") -> "Campaign":
        campaign_id = await id_of(tx, scope, name)
        return await campaigns.duplicate(
            tx, scope, campaign_id=campaign_id, name=new_name, now=rt.clock.now()
        )

    _change(ctx, change, as_json)


@app.command()
def delete(ctx: typer.Context, name: Name, yes: Yes = False, as_json: output.Json = False) -> None:
    """Delete a campaign that is not under way; it can be restored for 30 days."""
    from mailengine.domain.campaigns import campaigns

    confirm(f"Delete the campaign {output.one_line(name)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            campaign_id = await id_of(tx, scope, name)
            await campaigns.delete(tx, scope, campaign_id=campaign_id, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"name": name, "deleted": True}, as_json=as_json)


@app.command()
def deleted(
    ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False
) -> None:
    """List deleted campaigns that can be restored."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.campaigns import trash

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Campaign]":
        async with rt.db.read(scope) as tx:
            page = PageRequest(limit, cursor)
            return await trash.deleted_campaigns(tx, scope, now=rt.clock.now(), page=page)

    emit_page(
        in_tenant(ctx, work),
        lambda campaign: {**_shown(campaign), "deleted_at": campaign.deleted_at},
        ("name", "state", "subject", "deleted_at"),
        empty="no deleted campaign",
        as_json=as_json,
    )


@app.command()
def restore(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Bring a deleted campaign back, within 30 days."""
    from mailengine.domain.campaigns import trash
    from mailengine.models import Campaign

    async def change(tx: "WriteTx", scope: "Scope", rt: "Runtime") -> "Campaign":
        now = rt.clock.now()
        found = await trash.newest_deleted(tx, scope, Campaign, name=name, now=now)
        return await trash.restore_campaign(tx, scope, campaign_id=found, now=now)

    _change(ctx, change, as_json)


async def id_of(tx: "ReadTx", scope: "Scope", name: str) -> Any:
    """The id of the campaign that a person named; raises NotFound."""
    from mailengine.domain.campaigns.campaigns import get_by_name

    return (await get_by_name(tx, scope, name=name)).id


def _change(ctx: typer.Context, change: Change, as_json: bool) -> None:
    async def work(rt: "Runtime", scope: "Scope") -> "Campaign":
        async with rt.db.write(scope) as tx:
            return await change(tx, scope, rt)

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


def _shown(campaign: "Campaign") -> dict[str, Any]:
    sender = f"{campaign.from_name} <{campaign.from_email}>" if campaign.from_name else campaign.from_email
    return {
        "name": campaign.name,
        "state": str(campaign.state),
        "subject": campaign.subject,
        "from": sender,
        "launched_at": campaign.launched_at,
        "finished_at": campaign.finished_at,
        "updated_at": campaign.updated_at,
    }
