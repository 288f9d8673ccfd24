"""`mailengine limit`: how much may be sent in a second, minute, hour or day."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.models import Limit, Period
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Relay = Annotated[str | None, typer.Option(help="Only what goes through this relay.")]
Provider = Annotated[
    str | None, typer.Option(help="Only to this provider (google, microsoft, …) or recipients' domain.")
]


@app.command("list")
def list_(ctx: typer.Context, as_json: output.Json = False) -> None:
    """List the limits, and how much each would let through now."""
    rows = in_tenant(ctx, _rows)
    output.emit(
        {"items": rows, "total": len(rows), "next": None},
        as_json=as_json,
        text=lambda: output.table(
            rows,
            ("scope", "target", "rate", "available"),
            empty="nothing is limited; see `mailengine limit set`",
        ),
    )


@app.command("set")
def set_(
    ctx: typer.Context,
    rate: Annotated[str, typer.Argument(help="500/hour; a second, minute, hour or day.")],
    relay: Relay = None,
    provider: Provider = None,
    as_json: output.Json = False,
) -> None:
    """Set the limit of an hour (second, minute, day), or replace it. Several hold together."""
    from mailengine.domain.delivery.limits import limits
    from mailengine.domain.delivery.limits.rates import parse_rate
    from mailengine.domain.delivery.limits.targets import limit_target

    wanted = parse_rate(rate)

    async def work(rt: "Runtime", scope: "Scope") -> "Limit":
        async with rt.db.write(scope) as tx:
            kind, target = await limit_target(tx, scope, relay=relay, provider=provider)
            return await limits.set_limit(
                tx, scope, kind=kind, target=target, rate=wanted, now=rt.clock.now()
            )

    row = in_tenant(ctx, work)
    output.emit(_shown(row, relay), as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    period: Annotated[str, typer.Argument(help="second, minute, hour or day.")],
    relay: Relay = None,
    provider: Provider = None,
    as_json: output.Json = False,
) -> None:
    """Remove the limit of an hour (second, minute, day)."""
    from mailengine.domain.delivery.limits import limits
    from mailengine.domain.delivery.limits.targets import limit_target

    wanted = _period(period)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            kind, target = await limit_target(tx, scope, relay=relay, provider=provider)
            await limits.remove_limit(tx, scope, kind=kind, target=target, period=wanted, now=rt.clock.now())
        return {
            "scope": kind.value, "target": relay or target or None, "period": wanted.value, "removed": True
        }  # fmt: skip

    output.emit(in_tenant(ctx, work), as_json=as_json)


async def _rows(rt: "Runtime", scope: "Scope") -> list[dict[str, Any]]:
    from mailengine.domain.delivery.limits.lines import limit_lines
    from mailengine.domain.senders.relays import names

    async with rt.db.read(scope) as tx:
        relays = await names(tx, scope)
        lines = await limit_lines(tx, scope, relays, now=rt.clock.now())
    return [{**_shown(line.row, relays.get(line.row.target)), "available": line.available} for line in lines]


def _period(text: str) -> "Period":
    from mailengine.models import Period

    try:
        return Period(text.lower())
    except ValueError as error:
        names = ", ".join(period.value for period in Period)
        raise InvalidInput(f"{text!r} is no period of a limit; give one of {names}") from error


def _shown(row: "Limit", relay: str | None) -> dict[str, Any]:
    from mailengine.domain.delivery.limits.limits import rate_of

    return {
        "scope": str(row.scope),
        "target": relay or row.target or None,
        "rate": str(rate_of(row)),
        "amount": row.amount,
        "period": str(row.period),
    }
