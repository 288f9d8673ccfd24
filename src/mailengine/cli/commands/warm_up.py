"""`mailengine warm-up`: a new sender starts slowly."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from datetime import datetime

    from mailengine.core.scope import Scope
    from mailengine.models import WarmUp
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Relay = Annotated[str | None, typer.Option(help="The relay whose address is new.")]
Domain = Annotated[str | None, typer.Option(help="The sending domain that is new.")]


@app.command()
def start(
    ctx: typer.Context, relay: Relay = None, domain: Domain = None, as_json: output.Json = False
) -> None:
    """Begin: the organisation's takes 7 days, that of a relay's address or a domain 30."""
    from mailengine.domain.delivery.limits import warm_up
    from mailengine.domain.delivery.limits.targets import warm_up_target

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            kind, target = await warm_up_target(tx, scope, relay=relay, domain=domain)
            row = await warm_up.start(tx, scope, kind=kind, target=target, now=now)
            return _shown(row, relay, now)

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def stop(
    ctx: typer.Context, relay: Relay = None, domain: Domain = None, as_json: output.Json = False
) -> None:
    """End a warm-up before its time: full speed from now on."""
    from mailengine.domain.delivery.limits import warm_up
    from mailengine.domain.delivery.limits.targets import warm_up_target

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            kind, target = await warm_up_target(tx, scope, relay=relay, domain=domain)
            await warm_up.stop(tx, scope, kind=kind, target=target, now=rt.clock.now())
        return {"scope": kind.value, "target": relay or target or None, "stopped": True}

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command("list")
def list_(ctx: typer.Context, as_json: output.Json = False) -> None:
    """List the warm-ups: the day, the rate now, when it changes and when it ends."""
    rows = in_tenant(ctx, _rows)
    output.emit(
        {"items": rows, "total": len(rows), "next": None},
        as_json=as_json,
        text=lambda: output.table(
            rows,
            ("scope", "target", "day", "rate", "changes_at", "ends_at"),
            empty="nothing warms up; see `mailengine warm-up start --help`",
        ),
    )


async def _rows(rt: "Runtime", scope: "Scope") -> list[dict[str, Any]]:
    from mailengine.domain.delivery.limits.warm_up import list_warm_ups
    from mailengine.domain.senders.relays import names

    async with rt.db.read(scope) as tx:
        found = await list_warm_ups(tx, scope)
        relays = await names(tx, scope)
    return [_shown(row, relays.get(row.target), rt.clock.now()) for row in found]


def _shown(row: "WarmUp", relay: str | None, now: "datetime") -> dict[str, Any]:
    """`rate` is None once it is over."""
    from mailengine.domain.delivery.limits.warm_up import changes_at, day_on, ends_at, rate_on
    from mailengine.models import WarmUpScope

    kind = WarmUpScope(row.scope)
    rate = rate_on(kind, row.started_at, now)
    return {
        "scope": kind.value,
        "target": relay or row.target or None,
        "day": day_on(row.started_at, now),
        "rate": None if rate is None else str(rate),
        "changes_at": changes_at(kind, row.started_at, now),
        "ends_at": ends_at(kind, row.started_at),
        "started_at": row.started_at,
    }
