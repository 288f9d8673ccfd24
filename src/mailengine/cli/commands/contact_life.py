"""`mailengine contacts timeline|consents|quiet|reactivate`: what happened with a contact, and what becomes of those
who give no sign of life."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.commands.bulk import bulk
from mailengine.cli.commands.contacts import Address, app, shown
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.reports.names import RecordName
    from mailengine.domain.reports.timeline import Timeline
    from mailengine.models import Consent, Contact
    from mailengine.runtime import Runtime

__all__ = ["app"]  # the noun's app, with these commands on it
app.command()(bulk)


@app.command()
def timeline(
    ctx: typer.Context,
    address: Address,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List what happened with a contact, newest first: sent, opened, clicked, bounced, consent, lists, states."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts import contacts
    from mailengine.domain.reports.timeline import timeline as read

    async def work(rt: "Runtime", scope: "Scope") -> "Timeline":
        async with rt.db.read(scope) as tx:
            found = await contacts.get_contact(tx, scope, address=address)
            return await read(tx, scope, contact_id=found.id or 0, page=PageRequest(limit, cursor))

    page = in_tenant(ctx, work)
    rows = [asdict(entry) for entry in page.items]
    shown_rows = [{**row, "details": _told(row["details"])} for row in rows]
    output.emit(
        {"items": rows, "next": page.next},
        as_json=as_json,
        text=lambda: output.table(
            shown_rows, ("at", "kind", "what", "details"), empty="nothing happened yet"
        ),
    )
    if page.next and not as_json:
        output.note(f"more: --cursor {page.next}")


@app.command()
def consents(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """List every act of agreeing and leaving, oldest first."""
    from mailengine.domain.contacts import contacts
    from mailengine.domain.contacts.consents import history
    from mailengine.domain.reports.names import names_of

    async def work(
        rt: "Runtime", scope: "Scope"
    ) -> "tuple[list[Consent], dict[tuple[str, int], RecordName]]":
        async with rt.db.read(scope) as tx:
            acts = await history(tx, scope, contact=await contacts.get_contact(tx, scope, address=address))
            return acts, await names_of(tx, scope, [("list", row.list_id) for row in acts])

    acts, names = in_tenant(ctx, work)
    rows = [
        {
            "at": row.at,
            "act": row.act,
            "source": row.source,
            "ip": row.ip,
            "wording": row.wording,
            "list_id": row.list_id,
            "list": names["list", row.list_id].name if row.list_id is not None else None,
        }
        for row in acts
    ]
    columns = ("at", "act", "source", "ip", "list", "wording")
    output.emit(
        {"items": rows},
        as_json=as_json,
        text=lambda: output.table(rows, columns, empty="no consent is known"),
    )


@app.command()
def quiet(
    ctx: typer.Context,
    inactive: Annotated[bool, typer.Option(help="Those who are left out of campaigns already.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List who gave no sign of life for so long that they are due for a re-engagement message."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts import hygiene

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Contact]":
        async with rt.db.read(scope) as tx:
            return await hygiene.quiet(tx, scope, page=PageRequest(limit, cursor), inactive=inactive)

    emit_page(
        in_tenant(ctx, work),
        lambda contact: {**shown(contact), "quiet_since": contact.quiet_since},
        ("email", "first_name", "last_name", "state", "quiet_since"),
        empty="nobody",
        as_json=as_json,
    )


@app.command()
def reactivate(
    ctx: typer.Context,
    address: Address,
    message: Annotated[
        bool, typer.Option("--message", help="Ask them whether they still want mail.")
    ] = False,
    suppress: Annotated[bool, typer.Option("--suppress", help="No: never write to them again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Decide on a quiet or inactive contact: go on writing (with or without a message that asks), or never again."""
    from mailengine.domain.contacts import contacts, hygiene
    from mailengine.domain.delivery import reengagement
    from mailengine.domain.tracking.tokens import TokenSigner

    if message and suppress:
        raise InvalidInput("give --message or --suppress, not both")
    if suppress:
        confirm(f"Never write to {address} again?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "Contact":
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            found = (await contacts.get_contact(tx, scope, address=address)).id or 0
            if suppress:
                return await hygiene.give_up(tx, scope, contact_id=found, now=now)
            if message:
                tokens, base_url = TokenSigner(rt.keyring), rt.settings.base_url
                return await reengagement.ask(
                    tx, scope, contact_id=found, tokens=tokens, base_url=base_url, now=now
                )
            return await hygiene.keep(tx, scope, contact_id=found, now=now)

    output.emit(shown(in_tenant(ctx, work)), as_json=as_json)


def _told(details: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in details.items() if value not in ("", None))
