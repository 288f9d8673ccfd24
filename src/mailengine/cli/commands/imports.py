"""`mailengine import`: a file of contacts into a list."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput
from mailengine.core.wording import counted

# The domain and rich load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.contacts.imports.report import ImportProgress, ImportReport
    from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
    from mailengine.runtime import Runtime

_REASONS_SHOWN = 5
# Rows in flight are many small objects without cycles; the collector's default is to walk all of them again
# and again, a third of the time of an import. This process does nothing else.
_GC_ALLOCATIONS = 200_000


def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV, TSV, XLSX, ODS or a ZIP of these; what it is is detected.")
    ],
    list_name: Annotated[
        str | None, typer.Option("--list", help="List that the contacts join; made if new.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help='"Header=field": email, first_name, tags, ignore … or "attribute[:kind]"; repeatable.',
        ),
    ] = None,
    saved: Annotated[str | None, typer.Option("--mapping", help="A saved mapping; --map adds to it.")] = None,
    save_as: Annotated[
        str | None, typer.Option("--save-mapping", help="Save what --mapping and --map say under this name.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Tag for everybody in it; repeatable.")
    ] = None,
    on_duplicate: Annotated[
        str, typer.Option(help="Contacts that are known: skip, update (fill in) or overwrite.")
    ] = "update",
    preview: Annotated[
        bool, typer.Option("--preview", help="Show columns and first rows, store nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen, store nothing.")
    ] = False,
    rows: Annotated[bool, typer.Option("--rows", help="With --dry-run: list every row.")] = False,
    delimiter: Annotated[str | None, typer.Option(help="comma, semicolon, tab, pipe or a character.")] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, windows-1252, utf-16 …")] = None,
    part: Annotated[str | None, typer.Option(help="Which sheet, or which file of a ZIP.")] = None,
    override_suppression: Annotated[
        bool,
        typer.Option(
            "--override-suppression", help="Mail those who left again: with their consent only; audited."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    consent_source: Annotated[str, typer.Option(help="How they agreed; default: the file's name.")] = "",
    as_json: output.Json = False,
) -> None:
    """Import contacts. Bad rows are reported and cost nothing else; nobody who left is subscribed again."""
    from mailengine.domain.contacts.imports.plan import OnDuplicate
    from mailengine.domain.contacts.imports.request import ImportRequest

    if rows and not dry_run:
        raise InvalidInput("--rows goes with --dry-run")
    if on_duplicate not in [rule.value for rule in OnDuplicate]:
        raise InvalidInput(f"--on-duplicate is skip, update or overwrite, not {on_duplicate!r}")
    if list_name is None and not preview:
        raise InvalidInput("--list is missing: which list do the contacts join?")
    if override_suppression and not (dry_run or preview):
        confirm("Mail people again who unsubscribed, bounced, complained or were erased?", yes=yes)
    mapping = {**(_saved(ctx, saved) if saved else {}), **_mapping(given or [])}
    if save_as is not None:
        _save(ctx, save_as, mapping)
    request = ImportRequest(
        path=file,
        list_name=list_name or "",
        mapping=mapping,
        on_duplicate=OnDuplicate(on_duplicate),
        consent_source=consent_source,
        encoding=encoding,
        delimiter=delimiter,
        part=part,
        tags=tuple(tag or ()),
        override_suppression=override_suppression,
    )
    if preview:
        _show_preview(_preview(ctx, request), as_json=as_json)
        return
    listed: list[dict[str, Any]] | None = [] if rows else None
    report = _run(ctx, request, dry_run=dry_run, listed=listed)
    result = report.as_dict() if listed is None else {**report.as_dict(), "rows_listed": listed}
    output.emit(result, as_json=as_json, text=lambda: show_report(report, listed))


def _saved(ctx: typer.Context, name: str) -> dict[str, str]:
    from mailengine.domain.contacts.imports import mappings

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, str]:
        async with rt.db.read(scope) as tx:
            return dict((await mappings.get(tx, scope, name=name)).mapping)

    return in_tenant(ctx, work)


def _save(ctx: typer.Context, name: str, mapping: dict[str, str]) -> None:
    from mailengine.domain.contacts.imports import mappings

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await mappings.save(tx, scope, name=name, mapping=mapping, now=rt.clock.now())

    in_tenant(ctx, work)


def _preview(ctx: typer.Context, request: "ImportRequest") -> dict[str, Any]:
    from mailengine.domain.contacts.imports.preview import preview

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        return (await preview(surroundings(rt, lambda _made: None), scope, request)).as_dict()

    return in_tenant(ctx, work)


def _show_preview(found: dict[str, Any], *, as_json: bool) -> None:
    def show() -> None:
        output.fields({name: found[name] or "-" for name in ("format", "encoding", "delimiter", "lines")})
        output.table(found["columns"], ("header", "target", "kind", "examples"), empty="no columns")

    output.emit(found, as_json=as_json, text=show)


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for pair in pairs:
        header, equals, target = pair.rpartition("=")
        if not equals or not header.strip():
            raise InvalidInput(f'--map takes "Header=field", not {pair!r}')
        mapping[header.strip()] = target.strip()
    return mapping


def _run(
    ctx: typer.Context, request: "ImportRequest", *, dry_run: bool, listed: list[dict[str, Any]] | None
) -> "ImportReport":
    from mailengine.domain.contacts.imports.rehearse import rehearse
    from mailengine.domain.contacts.imports.run import import_file

    gc.set_threshold(_GC_ALLOCATIONS)

    async def work(rt: "Runtime", scope: "Scope") -> "ImportReport":
        with progress_bar(f"Importing {request.path.name}") as progress:
            around = surroundings(rt, progress)
            if dry_run:
                return await rehearse(
                    around, scope, request, each_row=None if listed is None else listed.append
                )
            return await import_file(around, scope, request)

    return in_tenant(ctx, work)


def surroundings(rt: "Runtime", progress: "Callable[[ImportProgress], None]") -> "Surroundings":
    from mailengine.domain.contacts.imports.request import Surroundings
    from mailengine.domain.contacts.suppression import HASH_PURPOSE

    return Surroundings(
        db=rt.db,
        clock=rt.clock,
        data_dir=rt.settings.data_dir,
        hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
        progress=progress,
    )


@contextmanager
def progress_bar(title: str) -> "Iterator[Callable[[ImportProgress], None]]":
    """A bar with rate and time left on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, rows=0, rate=0)

        def progress(made: "ImportProgress") -> None:
            elapsed = bar.tasks[0].elapsed or 1e-9
            rows = made.counts.rows
            bar.update(
                task, total=made.bytes_total, completed=made.bytes_done, rows=rows, rate=rows / elapsed
            )

        yield progress


def show_report(report: "ImportReport", listed: list[dict[str, Any]] | None = None) -> None:
    counts = report.counts
    if listed is not None:
        output.table(
            listed,
            ("line", "outcome", "email", "first_name", "last_name", "state", "reason"),
            empty="no rows",
        )
    shown = {
        "state": report.state,
        "list": report.list_name,
        "format": report.format,
        "encoding": report.encoding,
        "delimiter": report.delimiter,
        "columns": ", ".join(f"{header} → {target}" for header, target in report.mapping.items()),
        "typed": {name: kind for name, kind in report.kinds.items() if kind != "text"},
        **counts.as_dict(),
    }
    if report.job is not None:
        shown = {"job": report.job, **shown}
    output.fields({name: value for name, value in shown.items() if value not in ("", {})})
    if not counts.rejected:
        return
    output.note(counted(counts.rejected, "row was", "rows were") + " rejected:")
    for error in report.errors[:_REASONS_SHOWN]:
        output.note(f"  line {error.line}: {error.reason}")
    if report.errors_file is not None:
        output.note(f"all of them, with the reason: {report.errors_file}")
