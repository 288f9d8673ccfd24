"""Long work: what runs, how far it is, what went wrong."""

from litestar import Response, get
from litestar.di import NamedDependency

from mailengine.domain.jobs import jobs
from mailengine.models import JobKind, JobState
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.site import Site

PATH = "/jobs"


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Newest first; the page asks again by itself while something is under way."""
    scope, params = request.auth.scope, params_of(request, "kind", "state")
    async with site.rt.db.read(scope) as tx:
        found = await jobs.list_(
            tx,
            scope,
            page=page_of(params),
            kind=one_of(params["kind"], JobKind),
            state=one_of(params["state"], JobState),
            text=params["q"],
        )
    busy = any(row.state in (JobState.QUEUED, JobState.RUNNING) for row in found.items)
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
