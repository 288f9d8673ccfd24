"""`mailengine jobs`: long work, how far it is and what came of it."""

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
    from mailengine.domain.contacts.imports.report import ImportReport
    from mailengine.models import Job
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
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


@app.command()
def undo(
    ctx: typer.Context,
    job: JobNumber,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen, change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take an import back, within 30 days: delete whom it created, give back what it changed."""
    from mailengine.core.ids import JobId
    from mailengine.domain.contacts.imports.undo import begin, pieces, rehearse_undo
    from mailengine.domain.jobs import jobs

    async def rehearse(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        counts = await rehearse_undo(rt.db, rt.clock, scope, import_id=JobId(job))
        return {"import": job, "state": "dry-run", **counts}

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            undoing = await begin(tx, scope, import_id=JobId(job), now=rt.clock.now())
            undo_id = JobId(undoing.id or 0)
            await jobs.start(tx, scope, job_id=undo_id, now=rt.clock.now())
        async for _piece in pieces(rt.db, rt.clock, scope, undo_id):
            pass
        async with rt.db.read(scope) as read:
            done = await jobs.get(read, scope, job_id=undo_id)
        return {"import": job, "job": undo_id, "state": done.state, **done.result["counts"]}

    if not dry_run:
        confirm(f"Take import {job} back?", yes=yes)
    output.emit(in_tenant(ctx, rehearse if dry_run else work), as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, job: JobNumber, as_json: output.Json = False) -> None:
    """Stop a job after the batch it is at; an import can be resumed."""
    from mailengine.core.ids import JobId
    from mailengine.domain.jobs import jobs

    async def work(rt: "Runtime", scope: "Scope") -> "Job":
        async with rt.db.write(scope) as tx:
            await jobs.cancel(tx, scope, job_id=JobId(job), now=rt.clock.now())
            return await jobs.get(tx, scope, job_id=JobId(job))

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


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
