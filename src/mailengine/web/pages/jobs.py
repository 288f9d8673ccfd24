"""Long work: what runs, how far it is, what went wrong, and what came out."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import File, Stream

from mailengine.core.ids import JobId
from mailengine.core.scope import Grant
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.contacts.exports.run import KEPT, download
from mailengine.domain.contacts.retyping import CHANGES
from mailengine.domain.jobs import jobs
from mailengine.domain.reports.speed import Speed, job_speed
from mailengine.models import JobKind, JobState
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.pages.live import stream
from mailengine.web.site import Site
from mailengine.web.uploads import IMPORTS

PATH = "/jobs"
OPEN = (JobState.QUEUED, JobState.RUNNING)
# Imports and exports of all data have pages of their own.
CANCELLABLE = (JobKind.BULK, JobKind.EXPORT, JobKind.SUPPRESSION_LIST, *CHANGES)


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Newest first; the page asks again by itself while something is under way."""
    scope, params = request.auth.scope, params_of(request, "kind", "state")
    kind = one_of(params["kind"], JobKind)
    async with site.rt.db.read(scope) as tx:
        found = await jobs.list_(
            tx,
            scope,
            page=page_of(params),
            kinds=() if kind is None else (kind,),
            state=one_of(params["state"], JobState),
            text=params["q"],
        )
    busy = any(row.state in OPEN for row in found.items)
    listing = Listing(PATH, params, found, "job", "jobs")
    return await page(
        site,
        request,
        "pages/jobs.html",
        listing=listing,
        kinds=list(JobKind),
        states=list(JobState),
        busy=busy,
    )


@get("/jobs/{job_id:int}")
async def show(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Response[Any]:
    """One job, live while it is under way; an import has a page of its own."""
    values = await _read(site, request.auth, job_id, Speed())
    if values["job"].kind in IMPORTS:
        return Response(None, status_code=303, headers={"Location": f"/imports/{job_id}"})
    return await page(site, request, "pages/job.html", **values)


@get("/events/jobs/{job_id:int}", sync_to_thread=False)
def events(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Stream:
    """The job anew whenever something changed, as server-sent events."""
    pace = Speed()

    async def rendered(login: Login) -> str:
        values = await _read(site, login, job_id, pace)
        return site.render("fragments/job.html", csrf=login.csrf_token, **values)

    return stream(site, request, rendered)


async def _read(site: Site, login: Login, job_id: int, pace: Speed) -> dict[str, Any]:
    """What fragments/job.html shows."""
    scope, now = login.scope, site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=JobId(job_id))
    rate, seconds_left = job_speed(pace, job, now)
    made = job.kind == JobKind.EXPORT and job.state == JobState.DONE
    expires_at = job.finished_at + KEPT if made and job.finished_at is not None else None
    return {
        "job": job,
        "rate": rate,
        "seconds_left": seconds_left,
        "live": job.state in OPEN,
        "may_cancel": job.state in OPEN and job.kind in CANCELLABLE and Grant.EDIT in scope.grants,
        "expires_at": expires_at,
        "expired": expires_at is not None and expires_at < now,
    }


@post("/jobs/{job_id:int}/cancel")
async def cancel(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> Response[Any]:
    """What it did stays."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await jobs.cancel(tx, scope, job_id=JobId(job_id), now=site.rt.clock.now())
    return done(site, f"{PATH}/{job_id}", "The job was cancelled; what it did stays")


@get("/exports/{job_id:int}/file")
async def export_file(request: UserRequest, site: NamedDependency[Site], job_id: FromPath[int]) -> File:
    """What an export made."""
    rt, scope = site.rt, request.auth.scope
    async with rt.db.read(scope) as tx:
        path, name = await download(
            tx, scope, job_id=JobId(job_id), data_dir=rt.settings.data_dir, clock=rt.clock
        )
    return File(path, filename=name, media_type="application/octet-stream")
