"""`mailengine upkeep`: list hygiene, and how long what is known of people is kept."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.contacts.upkeep import Rules
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Days = Annotated[int | None, typer.Option(help="In days.")]
Kept = Annotated[str | None, typer.Option(help="In days, or `ever`.")]


@app.command()
def show(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Show the rules that hold."""
    from mailengine.domain.contacts.upkeep import rules_of

    async def work(rt: "Runtime", scope: "Scope") -> "Rules":
        async with rt.db.read(scope) as tx:
            return await rules_of(tx, scope)

    output.emit(asdict(in_tenant(ctx, work)), as_json=as_json)


@app.command("set")
def set_(
    ctx: typer.Context,
    hygiene: Annotated[bool | None, typer.Option(help="Run the hygiene rules every day.")] = None,
    bounces: Annotated[int | None, typer.Option(help="So many bounces suppress an address.")] = None,
    bounce_days: Days = None,
    quiet_days: Days = None,
    inactive_days: Days = None,
    keep_events_days: Kept = None,
    keep_audit_days: Kept = None,
    as_json: output.Json = False,
) -> None:
    """Change some of the rules."""
    from mailengine.domain.contacts.upkeep import change

    given: dict[str, bool | int | None] = {
        "hygiene": hygiene,
        "bounces": bounces,
        "bounce_days": bounce_days,
        "quiet_days": quiet_days,
        "inactive_days": inactive_days,
    }
    changes: dict[str, bool | int | None] = {
        name: value for name, value in given.items() if value is not None
    }
    kept = {"keep_events_days": keep_events_days, "keep_audit_days": keep_audit_days}
    changes |= {name: _days(name, text) for name, text in kept.items() if text is not None}
    if not changes:
        raise InvalidInput("say what to change; see --help")

    async def work(rt: "Runtime", scope: "Scope") -> "Rules":
        async with rt.db.write(scope) as tx:
            return await change(tx, scope, now=rt.clock.now(), **changes)

    output.emit(asdict(in_tenant(ctx, work)), as_json=as_json)


def _days(name: str, text: str) -> int | None:
    if text == "ever":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise InvalidInput(f"--{name.replace('_', '-')} takes a number of days, or `ever`, not {text!r}")
    return int(text)
