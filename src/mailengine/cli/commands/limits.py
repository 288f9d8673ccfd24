"""`mailengine limit`: how much may be sent in a second, minute, hour or day."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.db.unit import ReadTx
    from mailengine.models import Limit, LimitScope, Period
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

    wanted = parse_rate(rate)

    async def work(rt: "Runtime", scope: "Scope") -> "Limit":
        async with rt.db.write(scope) as tx:
            kind, target = await _target(tx, scope, relay, provider)
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

    wanted = _period(period)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            kind, target = await _target(tx, scope, relay, provider)
            await limits.remove_limit(tx, scope, kind=kind, target=target, period=wanted, now=rt.clock.now())
        return {
            "scope": kind.value, "target": relay or target or None, "period": wanted.value, "removed": True
        }  # fmt: skip

    output.emit(in_tenant(ctx, work), as_json=as_json)


async def _rows(rt: "Runtime", scope: "Scope") -> list[dict[str, Any]]:
    from mailengine.domain.delivery.limits import buckets, limits
    from mailengine.domain.senders.relays import names
    from mailengine.models import LimitScope, Period

    async with rt.db.read(scope) as tx:
        found = await limits.list_limits(tx, scope)
        relays = await names(tx, scope)
        keys = [limits.bucket_name(LimitScope(row.scope), row.target, Period(row.period)) for row in found]
        rates = {key: limits.rate_of(row) for key, row in zip(keys, found, strict=True)}
        levels = await buckets.levels(tx, scope, rates, now=rt.clock.now())
    return [
        {**_shown(row, relays.get(row.target)), "available": levels[key].available()}
        for key, row in zip(keys, found, strict=True)
    ]


async def _target(
    tx: "ReadTx", scope: "Scope", relay: str | None, provider: str | None
) -> "tuple[LimitScope, str]":
    """What a limit concerns, as it is stored."""
    from mailengine.domain.delivery.limits.limits import provider_of
    from mailengine.domain.senders.relays import get_relay
    from mailengine.models import LimitScope

    if relay is not None and provider is not None:
        raise InvalidInput("a limit has --relay or --provider, not both; set two limits")
    if relay is not None:
        return LimitScope.RELAY, str((await get_relay(tx, scope, name=relay)).id)
    if provider is not None:
        return LimitScope.PROVIDER, provider_of(provider)
    return LimitScope.TENANT, ""


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
