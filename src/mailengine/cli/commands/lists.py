"""`mailengine lists`: groups of contacts that campaigns are sent to."""

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
    from mailengine.models import ContactList
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The list's name.")]
Description = Annotated[str | None, typer.Option(help="What its readers are told that it is.")]
DoubleOptIn = Annotated[
    bool | None,
    typer.Option("--double-opt-in/--single-opt-in", help="Whether who signs up confirms by a link."),
]
Public = Annotated[
    bool | None,
    typer.Option("--public/--private", help="Whether everybody may join it in the preference centre."),
]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the lists with their members."""
    from mailengine.core.paging import Page, PageRequest
    from mailengine.domain.contacts import lists

    async def work(rt: "Runtime", scope: "Scope") -> "Page[dict[str, Any]]":
        async with rt.db.read(scope) as tx:
            page = await lists.list_lists(tx, scope, page=PageRequest(limit, cursor))
            ids = [found.id for found in page.items if found.id is not None]
            members = await lists.member_counts(tx, scope, list_ids=ids)
        return Page([_shown(found, members) for found in page.items], page.total, page.next)

    emit_page(
        in_tenant(ctx, work),
        lambda row: row,
        ("name", "subscribed", "unconfirmed", "unsubscribed", "created_at"),
        empty="no list yet; make one with `mailengine lists create NAME` or by an import",
        as_json=as_json,
    )


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    description: Description = None,
    double_opt_in: DoubleOptIn = None,
    public: Public = None,
    as_json: output.Json = False,
) -> None:
    """Make an empty list."""
    from mailengine.domain.contacts import lists

    async def work(rt: "Runtime", scope: "Scope") -> "ContactList":
        async with rt.db.write(scope) as tx:
            return await lists.create_list(
                tx,
                scope,
                name=name,
                description=description or "",
                double_opt_in=bool(double_opt_in),
                public=bool(public),
                now=rt.clock.now(),
            )

    made = in_tenant(ctx, work)
    output.emit({**_shown(made, {}), **_told(made)}, as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    rename: Annotated[str | None, typer.Option(help="New name.")] = None,
    description: Description = None,
    double_opt_in: DoubleOptIn = None,
    public: Public = None,
    as_json: output.Json = False,
) -> None:
    """Change a list: its name, its description, how people get on it."""
    from mailengine.domain.contacts import lists

    async def work(rt: "Runtime", scope: "Scope") -> "ContactList":
        async with rt.db.write(scope) as tx:
            found = await lists.get_list(tx, scope, name=name)
            return await lists.update_list(
                tx,
                scope,
                list_id=found.id or 0,
                name=rename,
                description=description,
                double_opt_in=double_opt_in,
                public=public,
                now=rt.clock.now(),
            )

    changed = in_tenant(ctx, work)
    output.emit({**_shown(changed, {}), **_told(changed)}, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show a list: its members, who can be mailed now and why the others cannot."""
    from mailengine.domain.contacts import audience, lists

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            found = await lists.get_list(tx, scope, name=name)
            assert found.id is not None
            members = await lists.member_counts(tx, scope, list_ids=[found.id])
            choice = audience.Choice(list_ids=(found.id,))
            chosen = await audience.choose(tx, scope, choice, now=rt.clock.now())
            told = await audience.explain(tx, scope, chosen)
        return {
            **_shown(found, members),
            **_told(found),
            "audience": told.reachable,
            "left_out": told.left_out,
        }

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take everybody off a list, and the list away; the contacts stay."""
    from mailengine.domain.campaigns import list_removal
    from mailengine.domain.campaigns.uses import check_unused, uses
    from mailengine.domain.contacts import lists

    async def look(rt: "Runtime", scope: "Scope") -> tuple["ContactList", int]:
        async with rt.db.read(scope) as tx:
            found = await lists.get_list(tx, scope, name=name)
            check_unused(found.name, await uses(tx, scope, found))
            return found, await lists.people_on(tx, scope, list_id=found.id or 0)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            await list_removal.delete_list(tx, scope, list_id=found.id or 0, now=now)
        async for _taken_off in list_removal.empty(rt.db, scope, list_id=found.id or 0, now=now):
            pass

    found, people = in_tenant(ctx, look)
    counted = f"{people:,} {'person' if people == 1 else 'people'}"
    confirm(f"Delete the list {output.one_line(found.name)} and take {counted} off it?", yes=yes)
    in_tenant(ctx, work)
    output.emit({"id": found.id, "name": found.name, "taken_off": people}, as_json=as_json)


def _told(found: "ContactList") -> dict[str, Any]:
    return {
        "description": found.description,
        "double_opt_in": found.double_opt_in,
        "public": found.public,
    }


def _shown(found: "ContactList", members: dict[int, dict[str, int]]) -> dict[str, Any]:
    counts = members.get(found.id or 0, {})
    return {
        "id": found.id,
        "name": found.name,
        "subscribed": counts.get("subscribed", 0),
        "unconfirmed": counts.get("unconfirmed", 0),
        "unsubscribed": counts.get("unsubscribed", 0),
        "created_at": found.created_at,
    }
