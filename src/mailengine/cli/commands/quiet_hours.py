"""`mailengine quiet-hours`: the part of the day in which campaigns rest."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from datetime import datetime

    from mailengine.core.scope import Scope
    from mailengine.models import QuietHours
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)


@app.command("set")
def set_(
    ctx: typer.Context,
    starts: Annotated[str, typer.Argument(help="When the rest begins: 22:00.")],
    ends: Annotated[str, typer.Argument(help="When it ends: 07:00, the next day where that is earlier.")],
    timezone: Annotated[str, typer.Option(help="Where the clock hangs: Europe/Berlin.")] = "UTC",
    as_json: output.Json = False,
) -> None:
    """Let campaigns rest between two times of every day."""
    from mailengine.domain.delivery.limits.quiet_hours import parse_time, set_quiet_hours

    first, last = parse_time(starts), parse_time(ends)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            row = await set_quiet_hours(tx, scope, starts=first, ends=last, timezone=timezone, now=now)
            return _shown(row, now)

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def clear(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Let campaigns be sent at any time."""
    from mailengine.domain.delivery.limits.quiet_hours import clear_quiet_hours

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            await clear_quiet_hours(tx, scope, now=rt.clock.now())
        return _shown(None, rt.clock.now())

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def show(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Show the quiet hours, and until when it is quiet now."""
    from mailengine.domain.delivery.limits.quiet_hours import get_quiet_hours

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            return _shown(await get_quiet_hours(tx, scope), rt.clock.now())

    output.emit(in_tenant(ctx, work), as_json=as_json)


def _shown(row: "QuietHours | None", now: "datetime") -> dict[str, Any]:
    from mailengine.domain.delivery.limits.quiet_hours import quiet_until, written

    if row is None:
        return {"starts": None, "ends": None, "timezone": None, "quiet_until": None}
    return {
        "starts": written(row.starts),
        "ends": written(row.ends),
        "timezone": row.timezone,
        "quiet_until": quiet_until(row, now),
    }
