"""Every component in every state (P0-10), on one page."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from mailengine.core.paging import Page
from mailengine.web.flash import CATEGORIES
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, params_of
from mailengine.web.site import Site

STATES = (
    "sent", "draft", "failed", "paused", "active", "throttled", "scheduled", "sending", "cancelled",
    "subscribed", "unconfirmed", "unsubscribed", "bounced", "complained", "inactive", "suppressed",
)  # fmt: skip
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
        states=STATES,
        now=site.rt.clock.now(),
    )


@post("/styleguide")
async def say(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A toast of the category that a button names."""
    category = (await Form.of(request)).text("category")
    return done(site, "/styleguide", "This is what it says", category if category in CATEGORIES else "info")
