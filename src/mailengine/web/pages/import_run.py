"""One import: how far it is, live, and what came of it; its rejected rows, and the way back."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import File, Stream

from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.contacts.imports import errors_file, undo
from mailengine.domain.contacts.imports.report import Counts
from mailengine.domain.contacts.imports.request import errors_path
from mailengine.domain.contacts.imports.upload_jobs import begin_again, resumable
from mailengine.domain.jobs import jobs
from mailengine.domain.reports.speed import Speed, job_speed
from mailengine.models import Job, JobState
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.imports import PATH
from mailengine.web.pages.live import stream
from mailengine.web.site import Site
from mailengine.web.uploads import begin_undo, find_import

OPEN = (JobState.QUEUED, JobState.RUNNING)
STOPPED = (JobState.FAILED, JobState.CANCELLED)


@get("/imports/{job_id:int}")
async def show(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Response[str]:
    values = await read_run(site, request.auth, job_id, Speed())
    return await page(site, request, "pages/import.html", **values)


@get("/events/imports/{job_id:int}", sync_to_thread=False)
def events(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Stream:
    """The import anew whenever something changed, as server-sent events."""
    pace = Speed()

    async def rendered(login: Login) -> str:
        values = await read_run(site, login, job_id, pace)
        return site.render("fragments/import_run.html", csrf=login.csrf_token, **values)

    return stream(site, request, rendered)


async def read_run(site: Site, login: Login, job_id: int, pace: Speed) -> dict[str, Any]:
    """What fragments/import_run.html shows."""
    scope, now = login.scope, site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        job = await find_import(tx, scope, job_id)
        back = await _way_back(tx, scope, job)
    moving = job if job.state in OPEN else back
    rate, seconds_left = (None, None) if moving is None else job_speed(pace, moving, now)
    edits, stopped = Grant.EDIT in scope.grants, back is None or back.state in STOPPED
    return {
        "job": job,
        "counts": Counts(**job.result["counts"]),
        "wanted": job.result["request"],
        "back": back,
        "rate": rate,
        "seconds_left": seconds_left,
        "live": moving is not None and moving.state in OPEN,
        "may_edit": edits,
        "resumable": edits and resumable(job),
        "undoable": edits and job.state not in OPEN and stopped and now - job.created_at <= undo.UNDOABLE,
        "has_errors": edits and errors_path(site.rt.settings.data_dir, job_id).is_file(),
    }


async def _way_back(tx: ReadTx, scope: Scope, job: Job) -> Job | None:
    taken = job.result.get("undo")
    return None if taken is None else await jobs.get(tx, scope, job_id=JobId(taken))


@get("/imports/{job_id:int}/errors")
async def errors(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> File:
    """The rejected rows as they were, with why, to be mended and imported again."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        await find_import(tx, scope, job_id)
    path = errors_file.find(site.rt.settings.data_dir, job_id)
    return File(path, filename=f"import-{job_id}-errors.csv", media_type="text/csv")


@post("/imports/{job_id:int}/cancel")
async def cancel(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Response[Any]:
    """After the batch that it is at."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await find_import(tx, scope, job_id)
        await jobs.cancel(tx, scope, job_id=JobId(job_id), now=site.rt.clock.now())
    return done(site, f"{PATH}/{job_id}", "The import was cancelled; what was stored stays")


@post("/imports/{job_id:int}/resume")
async def resume(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Response[Any]:
    """Behind the last row that it stored."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await find_import(tx, scope, job_id)
        await begin_again(tx, scope, job_id=JobId(job_id), now=site.rt.clock.now())
    return done(site, f"{PATH}/{job_id}", "The import goes on where it stopped")


@post("/imports/{job_id:int}/undo")
async def take_back(
    request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]
) -> Response[Any]:
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await find_import(tx, scope, job_id)
        await begin_undo(tx, scope, job_id, now=site.rt.clock.now())
    return done(site, f"{PATH}/{job_id}", "The import is being taken back")
