"""`mailengine audit`: who did what, and when."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput
from mailengine.core.zones import in_utc

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.models import AuditEntry
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    ctx: typer.Context,
    actor: Annotated[str | None, typer.Option(help="`user:3`, `key:7`, `cli`, `link`.")] = None,
    action: Annotated[str | None, typer.Option(help="`campaign.launch`, or `campaign.*`.")] = None,
    resource: Annotated[str | None, typer.Option(help="`contact`, `campaign`, …")] = None,
    resource_id: Annotated[int | None, typer.Option(help="Its number.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day or moment on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or moment.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List what was done, newest first."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.accounts import audit

    wanted = audit.Wanted(
        actor, action, resource, resource_id, _moment("--since", since), _moment("--until", until)
    )

    async def work(rt: "Runtime", scope: "Scope") -> "Page[AuditEntry]":
        async with rt.db.read(scope) as tx:
            return await audit.list_(tx, scope, page=PageRequest(limit, cursor), wanted=wanted)

    columns = ("at", "actor", "action", "resource", "resource_id", "address")
    emit_page(in_tenant(ctx, work), _shown, columns, empty="nothing was done here", as_json=as_json)


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{option} takes a day or moment as 2026-11-22 or 2026-11-22T08:00, not {text!r}"
        ) from error
    return in_utc(moment)


def _shown(entry: "AuditEntry") -> dict[str, Any]:
    return {
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "resource": entry.resource,
        "resource_id": entry.resource_id,
        "address": entry.address,
        "details": entry.details,
    }
