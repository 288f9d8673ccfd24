"""Every component in every state (P0-10), on one page."""

from datetime import datetime, timedelta
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.paging import Page
from mailengine.domain.contacts.audience import Explanation
from mailengine.domain.contacts.imports.report import Counts
from mailengine.domain.contacts.segments.names import Names
from mailengine.domain.reports.timeline import Entry
from mailengine.models import ContactList, Job, JobKind, JobState
from mailengine.web.flash import CATEGORIES
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Menu
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, params_of
from mailengine.web.pages.live import Stat
from mailengine.web.pages.segment_choices import DEEDS, FIELDS, Choices
from mailengine.web.pages.segment_draft import ROOT, Condition, Group
from mailengine.web.pages.segments import Editor, Texts
from mailengine.web.pages.wizard import Step
from mailengine.web.site import Site

CAMPAIGN = [Step("content", "Content"), Step("audience", "Audience"), Step("review", "Review")]
SETUP = [("relay", "/styleguide", "Mail server"), ("domain", "/styleguide", "Sending domain")]
TOLD = Explanation(people=1200, reachable=1100, left_out={"unsubscribed": 90, "bounced": 10}, duplicates=3)
COUNTS = Counts(
    rows=1310, created=1200, updated=90, unchanged=8, restored=2, duplicates=3, rejected=12, flagged=4
)
MANY = [ContactList(id=number, tenant_id=0, name=f"List {number}") for number in (1, 2)]
FIGURES = [
    Stat("Sent", 1234567, "484 in the last 30 days"),
    Stat("Opened", 4210, "30 more than before", "up"),
]
ROWS = [
    {"id": 1, "name": "Ann Example", "address": "ann@example.org", "state": "subscribed"},
    {
        "id": 2,
        "name": "Maximiliane-Wilhelmine von und zu Hohenstein-Langenberg",
        "address": "a-very-long-local-part-that-nobody-types-by-hand@mail.department.example.org",
        "state": "unsubscribed",
    },
]


@get("/styleguide")
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The page."""
    now = site.rt.clock.now()
    form = Form({"name": "Ann", "email": "ann@", "note": "Several\nlines."})
    form.reject("email", "the part after the @ is missing")
    listing = Listing(
        "/styleguide", params_of(request, "state"), Page(ROWS, 1200, "x"), "row", "rows", "name"
    )
    return await page(
        site,
        request,
        "pages/styleguide.html",
        form=form,
        listing=listing,
        now=now,
        jobs=[_job(state, now) for state in JobState],
        entries=[
            Entry(now, kind, "Spring letter") for kind in ("sent", "open", "click", "bounced", "unsubscribe")
        ],
        told=TOLD,
        counts=COUNTS,
        figures=FIGURES,
        steps=CAMPAIGN,
        setup=SETUP,
        editor=_editor(),
        many=Menu(MANY, True),
    )


@post("/styleguide")
async def say(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A toast of the category that a button names."""
    category = (await Form.of(request)).text("category")
    return done(site, "/styleguide", "This is what it says", category if category in CATEGORIES else "info")


def _job(state: JobState, now: datetime) -> Job:
    ended = now if state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED) else None
    done, begun = {JobState.QUEUED: 0, JobState.DONE: 1200}.get(state, 700), now - timedelta(seconds=80)
    return Job(
        tenant_id=0, kind=JobKind.IMPORT, title="people.csv", state=state, done=done, total=1200,
        created_at=now, started_at=begun, finished_at=ended,
    )  # fmt: skip


def _editor() -> Editor:
    """Every kind of line that the builder knows, one of them wrong."""
    wrong = Condition(4, "email", "=", [""], error="Say a value.")
    inner = Group(
        5, "any", True, [Condition(6, "tag", "in", ["vip"]), Condition(7, "opened", "did", times="2")]
    )
    lines: list[Group | Condition] = [Condition(2, "state", "=", ["subscribed"]), Condition(3), wrong, inner]
    fields = [*FIELDS, ("Behaviour", DEEDS)]
    choices = Choices(Names(), fields, lists=["Customers"], tags=["vip"], campaigns=["Spring letter"])
    return Editor("/segments/new", Group(ROOT, lines=lines), Texts(), choices)
