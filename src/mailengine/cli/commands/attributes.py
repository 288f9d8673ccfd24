"""`mailengine attributes`: the custom fields of contacts, and of what kind each is."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput
from mailengine.core.wording import counted

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.campaigns.attribute_changes import Change
    from mailengine.domain.contacts.retyping import Retyped
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(ctx: typer.Context, as_json: output.Json = False) -> None:
    """List the attributes, what they are called in files, and of what kind they are."""
    from mailengine.domain.contacts import attributes

    async def work(rt: "Runtime", scope: "Scope") -> list[dict[str, Any]]:
        async with rt.db.read(scope) as tx:
            labels = await attributes.attribute_labels(tx, scope)
            kinds = await attributes.attribute_kinds(tx, scope)
        return [{"name": name, "label": labels[name], "kind": kinds[name].value} for name in labels]

    rows = in_tenant(ctx, work)
    empty = "no attribute yet; `mailengine import FILE --list NAME` brings those of a file"
    output.emit(
        {"items": rows},
        as_json=as_json,
        text=lambda: output.table(rows, ("name", "label", "kind"), empty=empty),
    )


@app.command()
def retype(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The attribute.")],
    kind: Annotated[str, typer.Argument(help="text, number, date, boolean or list.")],
    drop: Annotated[bool, typer.Option("--drop", help="Remove values that are none of that kind.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Make an attribute another kind, and read every value anew."""
    from mailengine.domain.contacts import retyping
    from mailengine.models import AttributeKind

    if kind not in list(AttributeKind):
        raise InvalidInput(f"an attribute is {', '.join(AttributeKind)}, not {kind!r}")
    wanted = AttributeKind(kind)

    async def rehearse(rt: "Runtime", scope: "Scope") -> "Retyped":
        return await retyping.rehearse(rt.db, scope, name=name, kind=wanted)

    async def work(rt: "Runtime", scope: "Scope") -> "Retyped":
        now = rt.clock.now()
        return await retyping.retype(rt.db, scope, name=name, kind=wanted, drop=drop, now=now)

    if not dry_run and drop:
        confirm(f"Remove every value of {name} that is no {kind}?", yes=yes)
    output.emit(asdict(in_tenant(ctx, rehearse if dry_run else work)), as_json=as_json)


@app.command()
def rename(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The attribute.")],
    to: Annotated[str, typer.Argument(help="Its new name; one of the same kind becomes one with it.")],
    as_json: output.Json = False,
) -> None:
    """Give an attribute another name and move every value."""
    from mailengine.domain.campaigns.attribute_changes import Change

    _change(ctx, Change(name, to), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The attribute.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove an attribute with the values of all contacts."""
    from mailengine.domain.campaigns import attribute_changes
    from mailengine.domain.contacts.retyping import get_attribute

    async def look(rt: "Runtime", scope: "Scope") -> int:
        async with rt.db.read(scope) as tx:
            await get_attribute(tx, scope, name=name)
            return (await attribute_changes.holders(tx, scope, name=name))[0]

    if not yes:
        whose = counted(in_tenant(ctx, look), "contact", "contacts")
        confirm(f"Remove {name}, and the values of {whose}?", yes=yes)
    _change(ctx, attribute_changes.Change(name), as_json=as_json)


def _change(ctx: typer.Context, change: "Change", *, as_json: bool) -> None:
    from mailengine.domain.campaigns.attribute_changes import do_at_once

    async def work(rt: "Runtime", scope: "Scope") -> int:
        return await do_at_once(rt.db, scope, change, now=rt.clock.now())

    output.emit({"changed": in_tenant(ctx, work)}, as_json=as_json)
