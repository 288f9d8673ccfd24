"""`mailengine tenant`: the organisations of an installation."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.commands import messages
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_instance, in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.models import Tenant
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
app.command("sender")(messages.sender)


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the organisation.")],
    address: Annotated[str, typer.Option(help="Its postal address; stands in every message.")],
    country: Annotated[str, typer.Option(help="Its country, two letters (ISO 3166).")],
    slug: Annotated[
        str | None, typer.Option(help="Its name for --tenant; default: made from the name.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Add an organisation; its users, relays and contacts are its own."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import create_tenant

    async def work(rt: "Runtime") -> "Tenant":
        instance = InstanceScope("cli")
        async with rt.db.write(instance) as tx:
            return await create_tenant(
                tx,
                instance,
                name=name,
                country=country,
                postal_address=address,
                slug=slug,
                now=rt.clock.now(),
            )

    output.emit(_shown(in_instance(ctx, work)), as_json=as_json)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the organisations."""
    from mailengine.core.paging import PageRequest
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import list_tenants

    async def work(rt: "Runtime") -> "Page[Tenant]":
        instance = InstanceScope("cli")
        async with rt.db.read(instance) as tx:
            return await list_tenants(tx, instance, request=PageRequest(limit, cursor))

    emit_page(
        in_instance(ctx, work),
        _shown,
        ("slug", "name", "country", "created_at"),
        empty="no tenant yet; add one with `mailengine tenant add`",
        as_json=as_json,
    )


@app.command()
def show(
    ctx: typer.Context,
    slug: Annotated[str, typer.Argument(help="The tenant's slug.")],
    as_json: output.Json = False,
) -> None:
    """Show one organisation."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import find_tenant

    async def work(rt: "Runtime") -> "Tenant":
        instance = InstanceScope("cli")
        async with rt.db.read(instance) as tx:
            return await find_tenant(tx, instance, slug=slug)

    output.emit(_shown(in_instance(ctx, work)), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Option(help="Another name of the organisation.")] = None,
    address: Annotated[str | None, typer.Option(help="Its postal address; stands in every message.")] = None,
    country: Annotated[str | None, typer.Option(help="Its country, two letters (ISO 3166).")] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="In which its people plan, like Europe/Berlin.")
    ] = None,
    privacy_url: Annotated[
        str | None, typer.Option(help='Its privacy policy, shown on public pages; "" for none.')
    ] = None,
    terms_url: Annotated[
        str | None, typer.Option(help='Its terms, shown on public pages; "" for none.')
    ] = None,
    track_opens: Annotated[
        bool | None, typer.Option("--track-opens/--no-track-opens", help="What a new campaign begins with.")
    ] = None,
    track_clicks: Annotated[
        bool | None, typer.Option("--track-clicks/--no-track-clicks", help="What a new campaign begins with.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Change what the tenant is called, where it is, and what it begins with; what was sent stays as it was."""
    from mailengine.domain.accounts.tenants import TenantChange, update_tenant

    change = TenantChange(
        name, country, address, time_zone, privacy_url, terms_url, track_opens, track_clicks
    )

    async def work(rt: "Runtime", scope: "Scope") -> "Tenant":
        async with rt.db.write(scope) as tx:
            return await update_tenant(tx, scope, change, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


def _shown(tenant: "Tenant") -> dict[str, Any]:
    return {
        "slug": tenant.slug,
        "name": tenant.name,
        "country": tenant.country,
        "postal_address": tenant.postal_address,
        "time_zone": tenant.time_zone,
        "privacy_url": tenant.privacy_url,
        "terms_url": tenant.terms_url,
        "track_opens": tenant.track_opens,
        "track_clicks": tenant.track_clicks,
        "created_at": tenant.created_at,
    }
