"""`mailengine kill-switch`: stop all sending at once, and let it go on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_instance

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import InstanceScope
    from mailengine.db.unit import ReadTx
    from mailengine.models import KillSwitch
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

_ALL = "(all)"

Slug = Annotated[
    str | None,
    typer.Option("--tenant", help="Only this tenant; default: the one before the command, else all."),
]


@app.command()
def on(
    ctx: typer.Context,
    tenant: Slug = None,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the switch is.")] = "",
    as_json: output.Json = False,
) -> None:
    """Hold sending now; messages stay queued."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.delivery import kill_switch

    tenant = tenant or ctx.find_root().obj.tenant

    async def work(rt: "Runtime") -> "dict[str, Any]":
        instance = InstanceScope("cli")
        async with rt.db.write(instance) as tx:
            row = await kill_switch.set_on(
                tx,
                instance,
                tenant_id=await _tenant_id(tx, instance, tenant),
                reason=reason,
                actor=instance.actor,
                now=rt.clock.now(),
            )
            return _shown(row, tenant)

    output.emit(in_instance(ctx, work), as_json=as_json)


@app.command()
def off(ctx: typer.Context, tenant: Slug = None, as_json: output.Json = False) -> None:
    """Let sending go on."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.delivery import kill_switch

    tenant = tenant or ctx.find_root().obj.tenant

    async def work(rt: "Runtime") -> bool:
        instance = InstanceScope("cli")
        async with rt.db.write(instance) as tx:
            return await kill_switch.set_off(
                tx,
                instance,
                tenant_id=await _tenant_id(tx, instance, tenant),
                actor=instance.actor,
                now=rt.clock.now(),
            )

    if not in_instance(ctx, work):
        output.note("it was not on")
    output.emit({"on": False, "tenant": tenant or _ALL}, as_json=as_json)


@app.command()
def status(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Show what holds sending."""
    rows = in_instance(ctx, _status)
    output.emit(
        {"items": rows, "total": len(rows), "next": None},
        as_json=as_json,
        text=lambda: output.table(
            rows, ("tenant", "reason", "set_by", "set_at"), empty="off: nothing holds sending"
        ),
    )


async def _status(rt: "Runtime") -> list[dict[str, Any]]:
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import slugs
    from mailengine.domain.delivery import kill_switch

    instance = InstanceScope("cli")
    async with rt.db.read(instance) as tx:
        found = await kill_switch.state(tx, instance)
        names = await slugs(tx, instance, ids=list(found.tenants))
    whole = [] if found.instance is None else [_shown(found.instance, None)]
    return whole + [_shown(row, names.get(key, str(key))) for key, row in found.tenants.items()]


async def _tenant_id(tx: "ReadTx", instance: "InstanceScope", slug: str | None) -> Any:
    from mailengine.domain.accounts.tenants import cli_scope

    return None if slug is None else (await cli_scope(tx, instance, slug=slug)).tenant_id


def _shown(row: "KillSwitch", tenant: str | None) -> dict[str, Any]:
    return {
        "on": True,
        "tenant": tenant or _ALL,
        "reason": row.reason,
        "set_by": row.set_by,
        "set_at": row.set_at,
    }
