"""`mailengine template block`: pieces of HTML that templates share, as `{% include "name" %}`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.files import read_text
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.content.templates import Prepared
    from mailengine.models import Block
    from mailengine.runtime import Runtime

app = typer.Typer(help="Pieces that templates share.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The block's name.")]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="HTML file; - reads standard input.")],
    as_json: output.Json = False,
) -> None:
    """Add a block, or replace it: campaigns that start from now on have the new one."""
    from mailengine.domain.contacts.attributes import attribute_labels
    from mailengine.domain.content import blocks
    from mailengine.domain.content.templates import prepare
    from mailengine.domain.content.values import BUILT_IN_TAGS

    source = read_text(file, what="block")

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[Block, Prepared]":
        async with rt.db.read(scope) as tx:
            known = BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))
        prepared = await prepare(source, known=known)
        async with rt.db.write(scope) as tx:
            saved = await blocks.save(tx, scope, name=name, html=prepared.html, now=rt.clock.now())
        return saved, prepared

    block, prepared = in_tenant(ctx, work)
    removed = removed_of(prepared)
    output.emit({**_shown(block), "removed": removed}, as_json=as_json)


@app.command("list")
def list_(ctx: typer.Context, as_json: output.Json = False) -> None:
    """List the blocks."""
    from mailengine.domain.content.blocks import list_blocks

    async def work(rt: "Runtime", scope: "Scope") -> "list[Block]":
        async with rt.db.read(scope) as tx:
            return await list_blocks(tx, scope)

    rows = [_shown(block) for block in in_tenant(ctx, work)]
    output.emit(
        {"items": rows, "total": len(rows), "next": None},
        as_json=as_json,
        text=lambda: output.table(
            rows, ("name", "html_bytes", "updated_at"), empty="no block yet; `mailengine template block add`"
        ),
    )


@app.command()
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a block; templates that include it cannot be sent any more."""
    from mailengine.domain.content import blocks

    confirm(f"Remove the block {output.one_line(name)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await blocks.remove(tx, scope, name=name, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"name": name, "removed": True}, as_json=as_json)


def removed_of(prepared: "Prepared | None") -> list[dict[str, Any]]:
    """What sanitising took out, also said on stderr."""
    found = [{"what": item.what, "line": item.where_line} for item in (prepared.removed if prepared else ())]
    for item in found:
        where = f"line {item['line']}: " if item["line"] is not None else ""
        output.note(f"{where}removed {item['what']}")
    return found


def _shown(block: "Block") -> dict[str, Any]:
    return {"name": block.name, "html_bytes": len(block.html.encode()), "updated_at": block.updated_at}
