"""`mailengine api-key`: keys for programs that use the API."""

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
    from mailengine.domain.accounts.api_keys import NewKey
    from mailengine.models import ApiKey
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the key is for.")]


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    role: Annotated[str, typer.Option(help="owner, admin, editor or viewer.")] = "editor",
    as_json: output.Json = False,
) -> None:
    """Make a key; it is printed now and never again."""
    from mailengine.domain.accounts import api_keys
    from mailengine.domain.accounts.roles import role_of

    chosen = role_of(role)

    async def work(rt: "Runtime", scope: "Scope") -> "NewKey":
        async with rt.db.write(scope) as tx:
            return await api_keys.create(tx, scope, name=name, role=chosen, now=rt.clock.now())

    made = in_tenant(ctx, work)
    output.emit(
        {"name": made.key.name, "role": made.key.role, "token": made.token},
        as_json=as_json,
        text=lambda: output.line(made.token),
    )
    output.note("keep it safe: it is not shown again")


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the keys, revoked ones too."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.accounts import api_keys

    async def work(rt: "Runtime", scope: "Scope") -> "Page[ApiKey]":
        async with rt.db.read(scope) as tx:
            return await api_keys.list_(tx, scope, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("name", "role", "created_at", "last_used_at", "revoked_at"),
        empty="no API key yet; make one with `mailengine api-key create NAME`",
        as_json=as_json,
    )


@app.command()
def revoke(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Refuse a key from now on."""
    from mailengine.domain.accounts import api_keys

    confirm(f"Revoke the API key {name}? Programs that use it stop working.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "ApiKey":
        async with rt.db.write(scope) as tx:
            return await api_keys.revoke(tx, scope, name=name, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


def _shown(key: "ApiKey") -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
