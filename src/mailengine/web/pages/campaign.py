"""One campaign: how far it is, live, and what became of it; its recipients by outcome, as a table and a file."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from mailengine.core.ids import CampaignId
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.core.zones import zone_of
from mailengine.domain.accounts.sessions import Login
from mailengine.domain.campaigns import campaigns
from mailengine.domain.reports.campaigns import CampaignReport, Hour, figures
from mailengine.domain.reports.progress import follow
from mailengine.domain.reports.recipients import Outcome, Recipient, note_download, recipients
from mailengine.models import CampaignState
from mailengine.web.downloads import csv_file, harmless
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.pages.live import stream
from mailengine.web.site import Site

PATH = "/campaigns"
COLUMNS = ("email", "status", "words", "at")


@get("/campaigns/{campaign_id:int}")
async def show(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any]:
    """The report; a draft is gone on with where it was left."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        row = await campaigns.get(tx, scope, campaign_id=campaign_id)
        names = await campaigns.describe(tx, scope, row)
    if row.state == CampaignState.DRAFT and Grant.EDIT in scope.grants:
        return Response(None, status_code=303, headers={"Location": f"{PATH}/{campaign_id}/review"})
    values = await read_report(site, scope, CampaignId(campaign_id))
    return await page(
        site,
        request,
        "pages/campaign.html",
        campaign=row,
        names=names,
        campaign_id=campaign_id,
        zone=zone_of(row.schedule_zone),
        **values,
    )


async def read_report(site: Site, scope: Scope, campaign_id: CampaignId) -> dict[str, Any]:
    """What fragments/campaign_report.html shows."""
    now = site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        report = await figures(tx, scope, campaign_id=campaign_id, now=now)
        followed = await follow(tx, scope, campaign_id=campaign_id, now=now)
    return {
        "report": report,
        "held": followed.held,
        "throttled": followed.throttled,
        "chart": chart_of(report.by_hour),
        "links": [tab for tab in outcomes(report) if tab[2]],
    }


def chart_of(hours: Sequence[Hour]) -> str:
    """What chart.js draws."""
    return json.dumps(
        {
            "labels": [hour.at.isoformat() for hour in hours],
            "series": [
                {"label": "Opens", "values": [hour.opens for hour in hours]},
                {"label": "Clicks", "values": [hour.clicks for hour in hours]},
            ],
        }
    )


def outcomes(report: CampaignReport) -> list[tuple[str, Outcome, int]]:
    """Label, outcome and number of each list of recipients."""
    progress = report.progress
    return [
        ("Sent", Outcome.SENT, progress.sent),
        ("Opened", Outcome.OPENED, report.opens.unique),
        ("Clicked", Outcome.CLICKED, report.clicks.unique),
        ("Unsubscribed", Outcome.UNSUBSCRIBED, report.unsubscribes),
        ("Failed", Outcome.FAILED, progress.failed),
        ("In doubt", Outcome.DOUBT, progress.doubt),
        ("Skipped", Outcome.SKIPPED, progress.skipped),
        ("Waiting", Outcome.WAITING, progress.queued),
    ]


@get("/events/campaigns/{campaign_id:int}", sync_to_thread=False)
def events(request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]) -> Stream:
    """The report anew whenever something changed, as server-sent events."""

    async def rendered(login: Login) -> str:
        values = await read_report(site, login.scope, CampaignId(campaign_id))
        return site.render("fragments/campaign_report.html", campaign_id=campaign_id, **values)

    return stream(site, request, rendered)


@get("/campaigns/{campaign_id:int}/recipients")
async def people(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """Who had which outcome."""
    scope, params = request.auth.scope, params_of(request, "outcome")
    async with site.rt.db.read(scope) as tx:
        row = await campaigns.get(tx, scope, campaign_id=campaign_id)
        found = await recipients(
            tx,
            scope,
            campaign_id=campaign_id,
            outcome=one_of(params["outcome"], Outcome),
            text=params["q"],
            request=page_of(params),
        )
    listing = Listing(f"{PATH}/{campaign_id}/recipients", params, found, "recipient", "recipients")
    return await page(
        site, request, "pages/campaign_recipients.html", campaign=row, listing=listing, outcomes=list(Outcome)
    )


@get("/campaigns/{campaign_id:int}/recipients.csv")
async def download(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[Any] | Stream:
    """The same as a file, read a page at a time."""
    scope, params = request.auth.scope, params_of(request, "outcome")
    outcome = one_of(params["outcome"], Outcome)
    async with site.rt.db.write(scope) as tx:
        await note_download(tx, scope, campaign_id=campaign_id, now=site.rt.clock.now())
    name = f"campaign-{campaign_id}-{outcome.value if outcome else 'recipients'}.csv"
    return csv_file(name, COLUMNS, _pages(site, scope, campaign_id, outcome, params["q"]))


async def _pages(
    site: Site, scope: Scope, campaign_id: int, outcome: Outcome | None, text: str
) -> AsyncIterator[list[tuple[str, ...]]]:
    cursor: str | None = None
    while True:
        async with site.rt.db.read(scope) as tx:
            found = await recipients(
                tx,
                scope,
                campaign_id=campaign_id,
                outcome=outcome,
                text=text,
                request=PageRequest(MAX_PAGE, cursor, count=False),
            )
        yield [_cells(row) for row in found.items]
        cursor = found.next
        if cursor is None:
            return


def _cells(row: Recipient) -> tuple[str, ...]:
    cells = (row.email, row.status, row.words, row.at.isoformat() if row.at else "")
    return tuple(harmless(cell) for cell in cells)
