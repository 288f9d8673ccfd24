"""`mailengine suppression`: addresses and domains that must not be mailed."""

from pathlib import Path
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
    from mailengine.domain.contacts.suppression_files import Taken
    from mailengine.models import Suppression
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Target = Annotated[str, typer.Argument(help="An address, or a domain as @example.org.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only this kind: address, domain or hash.")] = None,
    reason: Annotated[str, typer.Option(help="Only those with this reason, like bounced.")] = "",
    search: Annotated[str, typer.Option(help="Only addresses and domains with this in them.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List what is suppressed, newest first."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts.suppression import list_suppressions
    from mailengine.models import SuppressionKind

    if kind is not None and kind not in set(SuppressionKind):
        raise InvalidInput(f"--kind is one of {', '.join(SuppressionKind)}, not {kind!r}")
    wanted = SuppressionKind(kind) if kind else None

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Suppression]":
        async with rt.db.read(scope) as tx:
            page = PageRequest(limit, cursor)
            return await list_suppressions(tx, scope, page=page, kind=wanted, reason=reason, text=search)

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("kind", "value", "reason", "source", "created_at"),
        empty="nothing of the kind is suppressed" if kind or reason or search else "nothing is suppressed",
        as_json=as_json,
    )


@app.command()
def add(
    ctx: typer.Context,
    target: Target,
    reason: Annotated[str, typer.Option(help="Why, in a word or two.")] = "manual",
    as_json: output.Json = False,
) -> None:
    """Never mail an address or a domain again."""
    from mailengine.domain.contacts.suppression import parse_target, suppress

    wanted = parse_target(target)

    async def work(rt: "Runtime", scope: "Scope") -> bool:
        async with rt.db.write(scope) as tx:
            return await suppress(tx, scope, wanted, reason=reason, source=scope.actor, now=rt.clock.now())

    added = in_tenant(ctx, work)
    output.emit({"kind": wanted.kind.value, "value": wanted.value, "added": added}, as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    target: Target,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Allow mail again to who is suppressed; only with their consent."""
    from mailengine.domain.contacts.suppression import HASH_PURPOSE, parse_target, unsuppress

    wanted = parse_target(target)
    confirm(f"Mail {wanted.value} again? Bounces and complaints cost your reputation.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            hash_key = rt.keyring.derive_for_ever(HASH_PURPOSE)
            await unsuppress(tx, scope, wanted, now=rt.clock.now(), hash_key=hash_key)

    in_tenant(ctx, work)
    output.emit({"kind": wanted.kind.value, "value": wanted.value, "removed": True}, as_json=as_json)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, or an address or domain a line.")],
    reason: Annotated[str, typer.Option(help="Why, where the file does not say it.")] = "imported",
    as_json: output.Json = False,
) -> None:
    """Suppress all that a file names: our own export, or another system's list."""
    from mailengine.domain.contacts import suppression_files
    from mailengine.domain.contacts.suppression import HASH_PURPOSE

    async def work(rt: "Runtime", scope: "Scope") -> "Taken":
        return await suppression_files.take_over(
            rt.db,
            scope,
            file,
            name=file.name,
            reason=reason,
            hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
            now=rt.clock.now,
        )

    taken = in_tenant(ctx, work)
    for line in taken.problems:
        output.note(f"line {line.number}: {line.problem}")
    counts = {"lines": taken.lines, "added": taken.added, "known": taken.known, "rejected": taken.rejected}
    problems = [{"line": line.number, "problem": line.problem} for line in taken.problems]
    output.emit({**counts, "problems": problems} if as_json else counts, as_json=as_json)


@app.command()
def export(
    ctx: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--output", help="File to write; default: standard output.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """The whole list as CSV, which `suppression import` takes."""
    from mailengine.cli.files import new_file
    from mailengine.domain.contacts.suppression_files import write_out

    if as_json and to is None:
        raise InvalidInput("--json tells what was written, the list itself is CSV: give --output too")

    async def work(rt: "Runtime", scope: "Scope") -> int:
        with new_file(to) as out:
            return await write_out(rt.db, scope, out, now=rt.clock.now())

    lines = in_tenant(ctx, work)
    if to is not None:
        output.emit({"file": str(to), "lines": lines}, as_json=as_json)


def _shown(row: "Suppression") -> dict[str, Any]:
    return {
        "kind": row.kind,
        "value": row.value,
        "reason": row.reason,
        "source": row.source,
        "created_at": row.created_at,
    }
