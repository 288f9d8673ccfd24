"""`mailengine campaign check|send|watch|pause|resume|cancel|report`: a campaign on its way."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import at_terminal, confirm
from mailengine.cli.commands.campaigns import Name, Yes, app, id_of
from mailengine.cli.session import in_tenant
from mailengine.core.errors import Refused
from mailengine.core.wording import counted

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.campaigns.checklist import Item
    from mailengine.domain.campaigns.launch import Launched
    from mailengine.domain.delivery.dead_letters import CauseFigures
    from mailengine.domain.reports.campaigns import CampaignReport, Count
    from mailengine.runtime import Runtime

__all__ = ["app"]  # the noun's app, with these commands on it

Watch = Annotated[bool, typer.Option("--watch", help="Follow it until it ends.")]


@app.command()
def check(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Go through the checklist; exit code 0 when nothing blocks."""
    from mailengine.domain.campaigns.checklist import blocking

    items = in_tenant(ctx, lambda rt, scope: checked(rt, scope, name))
    rows = [{"rule": item.code, "level": item.level, "message": item.message} for item in items]
    sendable = not blocking(items)

    def text() -> None:
        for item in items:
            output.line(f"{item.level:7}  {output.one_line(item.message)}")

    output.emit({"sendable": sendable, "items": rows}, as_json=as_json, text=text)
    if not sendable:
        raise typer.Exit(1)


@app.command()
def send(
    ctx: typer.Context, name: Name, yes: Yes = False, watch: Watch = False, as_json: output.Json = False
) -> None:
    """Send a campaign, unless the checklist blocks it. Its contents are fixed from then on."""
    from mailengine.cli.running import daemon_runs
    from mailengine.cli.watching import throttled_shown
    from mailengine.domain.campaigns.launch import launch

    items = in_tenant(ctx, lambda rt, scope: checked(rt, scope, name, sending=True))
    accept(name, items, yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[Launched, bool]":
        async with rt.db.read(scope) as tx:
            campaign_id = await id_of(tx, scope, name)
        launched = await launch(rt.db, scope, campaign_id=campaign_id, now=rt.clock.now())
        return launched, await daemon_runs(rt)

    launched, daemon = in_tenant(ctx, work)
    if not daemon:
        output.note("no daemon runs; it is sent when `mailengine daemon` starts")
    facts = {
        "name": launched.campaign.name,
        "state": str(launched.campaign.state),
        "recipients": launched.audience,
        "warnings": [item.message for item in launched.warnings],
        "throttled": throttled_shown(launched.throttled),
        "daemon": daemon,
    }
    if not watch:
        output.emit(facts, as_json=as_json, text=lambda: output.fields(_said(facts)))
        return
    _follow(ctx, name, as_json=as_json)


@app.command()
def watch(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Follow a campaign until it ends; with --json one object a second, and the last one at the end."""
    _follow(ctx, name, as_json=as_json)


@app.command()
def pause(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Hold a campaign; what is on the wire is finished, nothing more goes out."""
    from mailengine.domain.campaigns.control import pause as act

    control(ctx, name, act, as_json=as_json)


@app.command()
def resume(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Go on with a paused campaign."""
    from mailengine.domain.campaigns.control import resume as act

    control(ctx, name, act, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, name: Name, yes: Yes = False, as_json: output.Json = False) -> None:
    """End a campaign for good: whoever has not got it yet will not get it."""
    from mailengine.domain.campaigns.control import cancel as act

    confirm(f"End {output.one_line(name)} for good? Who has not got it yet will not get it.", yes=yes)
    control(ctx, name, act, as_json=as_json)


@app.command()
def report(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show what became of a campaign."""
    from mailengine.cli.watching import throttled_shown
    from mailengine.domain.delivery.dead_letters import causes
    from mailengine.domain.reports.campaigns import figures
    from mailengine.domain.reports.progress import follow

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            campaign_id, now = await id_of(tx, scope, name), rt.clock.now()
            found = await figures(tx, scope, campaign_id=campaign_id, now=now)
            followed = await follow(tx, scope, campaign_id=campaign_id, now=now)
            shown = report_shown(found, await causes(tx, scope, campaign_id=campaign_id))
        return {**shown, "held": list(followed.held), "throttled": throttled_shown(followed.throttled)}

    shown = in_tenant(ctx, work)
    output.emit(shown, as_json=as_json, text=lambda: _report_text(shown))


def report_shown(found: "CampaignReport", failures: "Sequence[CauseFigures]") -> dict[str, Any]:
    """A report as JSON; rates are shares of the recipients whose server accepted the message."""
    progress = found.progress
    return {
        "name": progress.name,
        "subject": progress.subject,
        "state": str(progress.state),
        "launched_at": progress.launched_at,
        "finished_at": progress.finished_at,
        "recipients": progress.total,
        "queued": progress.queued,
        "sent": progress.sent,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "doubt": progress.doubt,
        "rate": None if progress.rate is None else round(progress.rate, 1),
        "opened": _share(found.opens, progress.sent),
        "clicked": _share(found.clicks, progress.sent),
        "unsubscribed": found.unsubscribes,
        "failures": [
            {"cause": each.cause, "count": each.count, "code": each.code, "words": each.words}
            for each in failures
        ],
        "top_links": [
            {"url": link.url, "total": link.total, "unique": link.unique} for link in found.top_links
        ],
    }


def _said(facts: dict[str, Any]) -> dict[str, Any]:
    """What a send says to a person, who read warnings and forecast before it."""
    return {name: value for name, value in facts.items() if name not in ("warnings", "throttled")}


def _share(count: "Count", sent: int) -> dict[str, Any]:
    percent = round(100 * count.unique / sent, 1) if sent else None
    return {"unique": count.unique, "total": count.total, "percent": percent}


def _report_text(shown: dict[str, Any]) -> None:
    def of(figures: dict[str, Any]) -> str:
        percent = "" if figures["percent"] is None else f" ({figures['percent']} %)"
        people = counted(figures["unique"], "person", "people")
        return f"{people}{percent}, {counted(figures['total'], 'time', 'times')}"

    output.fields(
        {
            **{name: shown[name] for name in ("name", "subject", "state", "launched_at", "finished_at")},
            **({"held": "; ".join(shown["held"])} if shown["held"] else {}),
            **({"pace": shown["throttled"]["text"]} if shown["throttled"] else {}),
            "recipients": shown["recipients"],
            "queued": shown["queued"],
            "sent": f"{shown['sent']:,} (accepted by the server)",
            "failed": shown["failed"],
            "skipped": shown["skipped"],
            "in doubt": shown["doubt"],
            "opened": of(shown["opened"]),
            "clicked": of(shown["clicked"]),
            "unsubscribed": shown["unsubscribed"],
        }
    )
    if shown["failures"]:
        output.line("")
        output.table(shown["failures"], ("cause", "count", "code", "words"), empty="")
    if shown["top_links"]:
        output.line("")
        output.table(shown["top_links"], ("url", "unique", "total"), empty="")
    if shown["doubt"]:
        output.note("what is in doubt is never sent again by itself; see `mailengine delivery doubts list`")


async def checked(rt: "Runtime", scope: "Scope", name: str, *, sending: bool = False) -> "list[Item]":
    """The checklist of the campaign of that name."""
    from mailengine.core.ids import CampaignId
    from mailengine.domain.campaigns.campaigns import get_by_name
    from mailengine.domain.campaigns.launch import check as checklist
    from mailengine.domain.campaigns.states import require_waiting

    async with rt.db.read(scope) as tx:
        campaign = await get_by_name(tx, scope, name=name)
    if sending:  # before its checklist: who sends twice must not read about links
        require_waiting(campaign)
    return await checklist(rt.db, scope, campaign_id=CampaignId(campaign.id or 0), now=rt.clock.now())


def accept(name: str, items: "Sequence[Item]", *, yes: bool, act: str = "Send") -> None:
    """Refuse what is blocked; say the warnings, and ask whether to go on where a person sits."""
    from mailengine.domain.campaigns.checklist import blocking

    reasons = blocking(items)
    if reasons:
        raise Refused(f"campaign {name} cannot be sent", reasons)
    warnings = [item.message for item in items if item.level == "warning"]
    for warning in warnings:
        output.note(f"warning: {output.one_line(warning)}")
    for item in items:
        if item.code == "throttle":
            output.note(item.message)
    if warnings and at_terminal():
        confirm(f"{act} {output.one_line(name)} all the same?", yes=yes)


def _follow(ctx: typer.Context, name: str, *, as_json: bool) -> None:
    from mailengine.cli.watching import Look, watch

    async def work(rt: "Runtime", scope: "Scope") -> Look:
        async with rt.db.read(scope) as tx:
            campaign_id = await id_of(tx, scope, name)
        return await watch(rt, scope, campaign_id, as_json=as_json)

    last = in_tenant(ctx, work)
    if not as_json:
        shown = last.shown()
        output.fields({key: shown[key] for key in ("name", "state", "sent", "failed", "skipped", "doubt")})


def control(ctx: typer.Context, name: str, act: Any, *, as_json: bool) -> None:
    """Do something to a campaign that changes its state."""

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            campaign_id = await id_of(tx, scope, name)
            campaign = await act(tx, scope, campaign_id=campaign_id, now=rt.clock.now())
        return {"name": campaign.name, "state": str(campaign.state)}

    output.emit(in_tenant(ctx, work), as_json=as_json)
