"""`mailengine contacts`: the people on file."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.db.unit import ReadTx
    from mailengine.models import Contact
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Address = Annotated[str, typer.Argument(help="The contact's address.")]
_COLUMNS = ("email", "first_name", "last_name", "state", "consent_source", "created_at")


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those of this state.")] = None,
    list_name: Annotated[str | None, typer.Option("--list", help="Only members of this list.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List contacts."""
    from mailengine.core.ids import ListId
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts import contacts, lists
    from mailengine.models import ContactState

    if state is not None and state not in [known.value for known in ContactState]:
        raise InvalidInput(f"--state is one of {', '.join(ContactState)}, not {state!r}")

    async def work(tx: "ReadTx", scope: "Scope") -> "Page[dict[str, Any]]":
        found = await lists.get_list(tx, scope, name=list_name) if list_name else None
        page = await contacts.list_contacts(
            tx,
            scope,
            page=PageRequest(limit, cursor),
            state=ContactState(state) if state else None,
            list_id=ListId(found.id) if found and found.id else None,
        )
        return await _described(tx, scope, page)

    empty = "no contact here; `mailengine import FILE --list NAME` brings some"
    emit_page(_read(ctx, work), dict, _COLUMNS, empty=empty, as_json=as_json)


@app.command()
def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="Part of an address or name, or the beginning of a tag.")],
    attribute: Annotated[str | None, typer.Option(help="Search this attribute from its beginning.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """Find contacts by address, name, tag or an attribute."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts import contacts

    async def work(tx: "ReadTx", scope: "Scope") -> "Page[dict[str, Any]]":
        page = PageRequest(limit, cursor)
        found = await contacts.search(tx, scope, text=text, page=page, attribute=attribute)
        return await _described(tx, scope, found)

    emit_page(_read(ctx, work), dict, _COLUMNS, empty="nobody found", as_json=as_json)


@app.command()
def show(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """Show a contact with attributes, consent, lists and tags."""
    from mailengine.core.paging import Page
    from mailengine.domain.contacts import contacts

    async def work(tx: "ReadTx", scope: "Scope") -> dict[str, Any]:
        found = await contacts.get_contact(tx, scope, address=address)
        return (await _described(tx, scope, Page([found], 1, None))).items[0]

    output.emit(_read(ctx, work), as_json=as_json)


@app.command()
def add(
    ctx: typer.Context,
    address: Address,
    first_name: Annotated[str, typer.Option(help="First name.")] = "",
    last_name: Annotated[str, typer.Option(help="Last name.")] = "",
    attribute: Annotated[list[str] | None, typer.Option(help='"name=value"; repeatable.')] = None,
    list_name: Annotated[str | None, typer.Option("--list", help="List to join; made if new.")] = None,
    consent_source: Annotated[str, typer.Option(help="How they agreed.")] = "",
    as_json: output.Json = False,
) -> None:
    """Add a contact."""
    from mailengine.core.ids import ListId
    from mailengine.domain.contacts import contacts, lists
    from mailengine.domain.contacts.suppression import HASH_PURPOSE

    new = contacts.check_contact(
        address,
        first_name=first_name,
        last_name=last_name,
        attributes_given=_attributes(attribute or []),
        consent_source=consent_source,
    )

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        now, hash_key = rt.clock.now(), rt.keyring.derive_for_ever(HASH_PURPOSE)
        async with rt.db.write(scope) as tx:
            list_id = None
            if list_name is not None:
                found = await lists.get_or_create(tx, scope, name=list_name, now=now)
                assert found.id is not None
                list_id = ListId(found.id)
            return await contacts.add(tx, scope, new, now=now, hash_key=hash_key, list_id=list_id)

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    address: Address,
    first_name: Annotated[str | None, typer.Option(help="First name.")] = None,
    last_name: Annotated[str | None, typer.Option(help="Last name.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help='"name=value", or "name=" to remove it; repeatable.')
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Change a contact's names and attributes; what is not named stays."""
    from mailengine.core.ids import ContactId
    from mailengine.domain.contacts import contacts, editing

    changes = editing.ContactChanges(first_name, last_name, _attributes(attribute or []))
    if changes == editing.ContactChanges(attributes={}):
        raise InvalidInput("say what to change: --first-name, --last-name or --attribute")

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        async with rt.db.write(scope) as tx:
            found = await contacts.get_contact(tx, scope, address=address)
            return await editing.update(
                tx, scope, contact_id=ContactId(found.id or 0), changes=changes, now=rt.clock.now()
            )

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a contact; it can be restored for 30 days."""
    from mailengine.domain.contacts import contacts

    confirm(f"Delete the contact {address}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        async with rt.db.write(scope) as tx:
            return await contacts.soft_delete(tx, scope, address=address, now=rt.clock.now())

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def unsubscribe(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """Take note that a person wants no more mail; campaigns under way skip them too."""
    from mailengine.core.ids import ContactId
    from mailengine.domain.contacts import contacts, states

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        async with rt.db.write(scope) as tx:
            contact = await contacts.get_contact(tx, scope, address=address)
            await states.unsubscribe(
                tx, scope, contact_id=ContactId(contact.id or 0), now=rt.clock.now(), reason="cli"
            )
            return contact

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def resubscribe(
    ctx: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Subscribe a person again who asked for it themselves; the consent is written down as such."""
    from mailengine.core.ids import ContactId
    from mailengine.domain.contacts import contacts, states

    confirm(f"Did {address} ask to get mail again?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        async with rt.db.write(scope) as tx:
            contact = await contacts.get_contact(tx, scope, address=address)
            await states.resubscribe(
                tx, scope, contact_id=ContactId(contact.id or 0), now=rt.clock.now(), reason="cli"
            )
            return contact

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def restore(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """Bring a deleted contact back as it was."""
    from mailengine.domain.contacts import contacts

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        async with rt.db.write(scope) as tx:
            return await contacts.restore(tx, scope, address=address, now=rt.clock.now())

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def deleted(
    ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False
) -> None:
    """List deleted contacts."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts import contacts

    async def work(tx: "ReadTx", scope: "Scope") -> "Page[dict[str, Any]]":
        page = await contacts.deleted(tx, scope, page=PageRequest(limit, cursor))
        return await _described(tx, scope, page)

    columns = ("email", "first_name", "last_name", "state", "deleted_at")
    emit_page(_read(ctx, work), dict, columns, empty="no deleted contact", as_json=as_json)


def _read(ctx: typer.Context, work: "Callable[[ReadTx, Scope], Awaitable[Any]]") -> Any:
    async def inside(rt: "Runtime", scope: "Scope") -> Any:
        async with rt.db.read(scope) as tx:
            return await work(tx, scope)

    return in_tenant(ctx, inside)


async def _described(tx: "ReadTx", scope: "Scope", page: "Page[Contact]") -> "Page[dict[str, Any]]":
    """With the lists and tags of each."""
    from mailengine.core.paging import Page
    from mailengine.domain.contacts import lists, tags

    ids = [contact.id or 0 for contact in page.items]
    on_lists, labels = await lists.memberships(tx, scope, ids), await tags.tags_of(tx, scope, ids)
    items = [
        {**shown(contact), "lists": on_lists.get(each, {}), "tags": labels.get(each, [])}
        for each, contact in zip(ids, page.items, strict=True)
    ]
    return Page(items, page.total, page.next, page.previous, page.exact)


def _attributes(pairs: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput(f'--attribute takes "name=value", not {pair!r}')
        values[name.strip()] = value.strip()
    return values


def shown(contact: "Contact") -> dict[str, Any]:
    return {
        "id": contact.id,
        "email": contact.email,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "state": contact.state,
        "attributes": contact.attributes,
        "consent_source": contact.consent_source,
        "consent_at": contact.consent_at,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
        "deleted_at": contact.deleted_at,
    }
