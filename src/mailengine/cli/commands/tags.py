"""`mailengine tags`: short labels on contacts."""

from collections.abc import Mapping
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
    from mailengine.models import Tag
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The tag's name.")]
Addresses = Annotated[list[str], typer.Argument(help="Addresses of contacts.")]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the tags and how many contacts carry each."""
    from mailengine.core.paging import Page, PageRequest
    from mailengine.domain.contacts import tags

    async def work(rt: "Runtime", scope: "Scope") -> "Page[dict[str, Any]]":
        async with rt.db.read(scope) as tx:
            page = await tags.list_tags(tx, scope, page=PageRequest(limit, cursor))
            ids = [tag.id for tag in page.items if tag.id is not None]
            counts = await tags.counts(tx, scope, tag_ids=ids)
        return Page([_shown(tag, counts) for tag in page.items], page.total, page.next)

    emit_page(
        in_tenant(ctx, work),
        lambda row: row,
        ("name", "contacts", "created_at"),
        empty="no tag yet; `mailengine tags add NAME ADDRESS` puts one on a contact",
        as_json=as_json,
    )


@app.command()
def create(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Make a tag that nobody carries yet."""
    from mailengine.domain.contacts import tags

    async def work(rt: "Runtime", scope: "Scope") -> "Tag":
        async with rt.db.write(scope) as tx:
            return await tags.create_tag(tx, scope, name=name, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work), {}), as_json=as_json)


@app.command()
def add(ctx: typer.Context, name: Name, addresses: Addresses, as_json: output.Json = False) -> None:
    """Put a tag, made if new, on contacts."""
    _change(ctx, name, addresses, adding=True, as_json=as_json)


@app.command()
def remove(ctx: typer.Context, name: Name, addresses: Addresses, as_json: output.Json = False) -> None:
    """Take a tag off contacts."""
    _change(ctx, name, addresses, adding=False, as_json=as_json)


@app.command()
def rename(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="What it is called from now on.")],
    as_json: output.Json = False,
) -> None:
    """Give a tag another name, in saved segments too."""
    from mailengine.domain.contacts import tag_changes, tags

    async def work(rt: "Runtime", scope: "Scope") -> "Tag":
        async with rt.db.write(scope) as tx:
            found = await tags.get_tag(tx, scope, name=name)
            return await tag_changes.rename(
                tx, scope, tag_id=found.id or 0, name=new_name, now=rt.clock.now()
            )

    _emit(ctx, in_tenant(ctx, work), as_json=as_json)


@app.command()
def merge(
    ctx: typer.Context,
    name: Name,
    into: Annotated[str, typer.Argument(help="The tag that stays.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Put another tag on everybody who carries this one, and take this one away."""
    from mailengine.domain.contacts import tag_changes, tags

    confirm(f"Merge the tag {output.one_line(name)} into {output.one_line(into)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "Tag":
        async with rt.db.write(scope) as tx:
            found = await tags.get_tag(tx, scope, name=name)
            return await tag_changes.merge(tx, scope, tag_id=found.id or 0, into=into, now=rt.clock.now())

    _emit(ctx, in_tenant(ctx, work), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take a tag off everybody, and away."""
    from mailengine.domain.campaigns import tag_removal
    from mailengine.domain.contacts import tags

    confirm(f"Delete the tag {output.one_line(name)} and take it off everybody?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            found = await tags.get_tag(tx, scope, name=name)
            carried = await tags.counts(tx, scope, tag_ids=[found.id or 0])
            gone = await tag_removal.delete_tag(tx, scope, tag_id=found.id or 0, now=rt.clock.now())
        return _shown(gone, carried)

    output.emit(in_tenant(ctx, work), as_json=as_json)


def _emit(ctx: typer.Context, tag: "Tag", *, as_json: bool) -> None:
    """The tag with how many carry it now."""
    from mailengine.domain.contacts import tags

    async def work(rt: "Runtime", scope: "Scope") -> Mapping[int, int]:
        async with rt.db.read(scope) as tx:
            return await tags.counts(tx, scope, tag_ids=[tag.id or 0])

    output.emit(_shown(tag, in_tenant(ctx, work)), as_json=as_json)


def _change(ctx: typer.Context, name: str, addresses: list[str], *, adding: bool, as_json: bool) -> None:
    from mailengine.domain.contacts import contacts, tags

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            found = [await contacts.get_contact(tx, scope, address=address) for address in addresses]
            act = tags.tag_contacts if adding else tags.untag_contacts
            ids = [contacts.contact_id(contact) for contact in found]
            changed = await act(tx, scope, tag=name, contact_ids=ids, now=rt.clock.now())
        return {"tag": tags.check_tag(name), "changed": changed}

    output.emit(in_tenant(ctx, work), as_json=as_json)


def _shown(tag: "Tag", counts: Mapping[int, int]) -> dict[str, Any]:
    return {
        "id": tag.id,
        "name": tag.name,
        "contacts": counts.get(tag.id or 0, 0),
        "created_at": tag.created_at,
    }
