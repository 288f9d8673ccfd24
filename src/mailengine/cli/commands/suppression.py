"""`mailengine suppression`: addresses and domains that must not be mailed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.models import Suppression
    from mailengine.runtime import Runtime

app = typer.Typer(help="Addresses and domains that must not be mailed.", no_args_is_help=True)
Target = Annotated[str, typer.Argument(help="An address, or a domain as @example.org.")]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List what is suppressed, newest first."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts.suppression import list_suppressions

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Suppression]":
        async with rt.db.read(scope) as tx:
            return await list_suppressions(tx, scope, page=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("kind", "value", "reason", "source", "created_at"),
        empty="nothing is suppressed",
        as_json=as_json,
    )


@app.command()
def add(
    ctx: typer.Context,
    target: Target,
    reason: Annotated[str, typer.Option(help="Why, in a word or two.")] = "manual",
    as_json: output.Json = False,
) -> None:
    """Never mail an address or a domain again."""
    from mailengine.domain.contacts.suppression import parse_target, suppress

    wanted = parse_target(target)

    async def work(rt: "Runtime", scope: "Scope") -> bool:
        async with rt.db.write(scope) as tx:
            return await suppress(tx, scope, wanted, reason=reason, source=scope.actor, now=rt.clock.now())

    added = in_tenant(ctx, work)
    output.emit({"kind": wanted.kind.value, "value": wanted.value, "added": added}, as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    target: Target,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Allow mail again to who is suppressed; only with their consent."""
    from mailengine.domain.contacts.suppression import parse_target, unsuppress

    wanted = parse_target(target)
    confirm(f"Mail {wanted.value} again? Bounces and complaints cost your reputation.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await unsuppress(tx, scope, wanted, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"kind": wanted.kind.value, "value": wanted.value, "removed": True}, as_json=as_json)


def _shown(row: "Suppression") -> dict[str, Any]:
    return {
        "kind": row.kind,
        "value": row.value,
        "reason": row.reason,
        "source": row.source,
        "created_at": row.created_at,
    }
