"""`mailengine mappings`: what the columns of a file become, saved by `import --save-mapping`."""

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
    from mailengine.models import ImportMapping
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The mapping's name.")]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List saved mappings."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts.imports import mappings

    async def work(rt: "Runtime", scope: "Scope") -> "Page[ImportMapping]":
        async with rt.db.read(scope) as tx:
            return await mappings.list_mappings(tx, scope, page=PageRequest(limit, cursor))

    empty = "no mapping yet; `mailengine import FILE --list NAME --map … --save-mapping NAME` saves one"
    emit_page(in_tenant(ctx, work), _shown, ("name", "mapping", "updated_at"), empty=empty, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show what each column becomes."""
    from mailengine.domain.contacts.imports import mappings

    async def work(rt: "Runtime", scope: "Scope") -> "ImportMapping":
        async with rt.db.read(scope) as tx:
            return await mappings.get(tx, scope, name=name)

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a saved mapping."""
    from mailengine.domain.contacts.imports import mappings

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await mappings.delete(tx, scope, name=name, now=rt.clock.now())

    confirm(f"Delete the mapping {output.one_line(name)}?", yes=yes)
    in_tenant(ctx, work)
    output.emit({"name": name}, as_json=as_json)


def _shown(row: "ImportMapping") -> dict[str, Any]:
    return {"name": row.name, "mapping": row.mapping, "updated_at": row.updated_at}
