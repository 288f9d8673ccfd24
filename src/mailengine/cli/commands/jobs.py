"""`mailengine jobs`: long work, how far it is and what came of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.contacts.imports.report import ImportReport
    from mailengine.models import Job
    from mailengine.runtime import Runtime

app = typer.Typer(help="Imports and other long work.", no_args_is_help=True)
JobNumber = Annotated[int, typer.Argument(help="The job's number.", min=1)]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List jobs, newest first."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.jobs import jobs

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Job]":
        async with rt.db.read(scope) as tx:
            return await jobs.list_(tx, scope, page=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("id", "kind", "state", "title", "done", "total", "error", "created_at"),
        empty="no job yet; `mailengine import` makes one",
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, job: JobNumber, as_json: output.Json = False) -> None:
    """Show a job."""
    from mailengine.core.ids import JobId
    from mailengine.domain.jobs import jobs

    async def work(rt: "Runtime", scope: "Scope") -> "Job":
        async with rt.db.read(scope) as tx:
            return await jobs.get(tx, scope, job_id=JobId(job))

    found = in_tenant(ctx, work)
    output.emit({**_shown(found), "result": found.result}, as_json=as_json)


@app.command()
def resume(ctx: typer.Context, job: JobNumber, as_json: output.Json = False) -> None:
    """Go on with an import that failed, was cancelled or was killed, after its last stored row."""
    from mailengine.cli.commands.imports import progress_bar, show_report, surroundings
    from mailengine.core.ids import JobId
    from mailengine.domain.contacts.imports.run import resume as resume_import

    async def work(rt: "Runtime", scope: "Scope") -> "ImportReport":
        with progress_bar(f"Import {job}") as progress:
            return await resume_import(surroundings(rt, progress), scope, job_id=JobId(job))

    report = in_tenant(ctx, work)
    output.emit(report.as_dict(), as_json=as_json, text=lambda: show_report(report))


def _shown(job: "Job") -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "title": job.title,
        "done": job.done,
        "total": job.total,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
