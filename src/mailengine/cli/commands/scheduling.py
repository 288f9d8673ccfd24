"""`mailengine campaign schedule|unschedule`: sent by the daemon when its time has come."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.commands.campaigns import Name, Yes, app, id_of
from mailengine.cli.commands.sending import accept, checked, control
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.runtime import Runtime

__all__ = ["app"]  # the noun's app, with these commands on it

At = Annotated[str, typer.Option("--at", help="When, like '2026-12-31 09:00'.")]
Zone = Annotated[
    str | None, typer.Option("--time-zone", help="Of that time, like Europe/Berlin; default: the tenant's.")
]


@app.command()
def schedule(
    ctx: typer.Context, name: Name, at: At, zone: Zone = None, yes: Yes = False, as_json: output.Json = False
) -> None:
    """Have a draft sent later, by a daemon that runs then; a scheduled one at another time."""
    from mailengine.cli.running import daemon_runs
    from mailengine.core.zones import moment_in, zone_of
    from mailengine.domain.accounts.tenants import get_tenant
    from mailengine.domain.campaigns import schedule as rules

    items = in_tenant(ctx, lambda rt, scope: checked(rt, scope, name, sending=True))
    accept(name, items, yes=yes, act="Schedule")

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            campaign_id = await id_of(tx, scope, name)
            known_zone = zone or (await get_tenant(tx, scope)).time_zone
        done = await rules.schedule(
            rt.db,
            scope,
            campaign_id=campaign_id,
            at=moment_in(at, known_zone),
            zone=known_zone,
            now=rt.clock.now(),
        )
        assert done.campaign.scheduled_at is not None
        local = done.campaign.scheduled_at.astimezone(zone_of(known_zone))
        return {
            "name": done.campaign.name,
            "state": str(done.campaign.state),
            "scheduled_at": done.campaign.scheduled_at,
            "local_time": f"{local:%Y-%m-%d %H:%M} {known_zone}",
            "recipients": done.audience,
            "daemon": await daemon_runs(rt),
        }

    facts = in_tenant(ctx, work)
    if not facts["daemon"]:
        output.note("no daemon runs; one has to be running at that time")
    output.emit(facts, as_json=as_json)


@app.command()
def unschedule(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Make a scheduled campaign a draft again."""
    from mailengine.domain.campaigns import schedule as rules

    control(ctx, name, rules.unschedule, as_json=as_json)
