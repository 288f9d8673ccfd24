"""Whom the lists and segments that are ticked in a campaign's audience would reach: pieces of that step, counted anew
with each tick and saved nowhere."""

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import Scope
from mailengine.domain.campaigns.recipients import choice_among
from mailengine.domain.contacts import lists
from mailengine.domain.contacts.audience import Explanation, choose, explain
from mailengine.models import MemberState
from mailengine.web.forms import Form, sentence
from mailengine.web.pages.choices import FEW
from mailengine.web.pages.frame import UserRequest
from mailengine.web.pages.wizard import draft_of
from mailengine.web.rendering import html
from mailengine.web.site import Site


@post("/campaigns/{campaign_id:int}/reach")
async def reach(
    request: UserRequest, site: NamedDependency[Site], campaign_id: FromPath[int]
) -> Response[str]:
    """How many would get it, and who is left out and why, by the rules of the checklist."""
    await draft_of(site, request, campaign_id)
    form, told, fault = await Form.of(request), None, ""
    try:
        told = await _told(site, request.auth.scope, form)
    except (InvalidInput, NotFound) as error:  # nothing is ticked, or a segment names a tag that is gone
        fault = sentence(str(error))
    return html(site.render("fragments/reach.html", told=told, fault=fault))


@get("/campaigns/audience/members")
async def members(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """How many subscribed members each list has that is offered."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        offered = (await lists.list_lists(tx, scope, page=FEW)).items
        counted = await lists.member_counts(
            tx, scope, list_ids=[row.id for row in offered if row.id is not None]
        )
    return html(site.render("fragments/list_counts.html", members=counted, states=[MemberState.SUBSCRIBED]))


async def _told(site: Site, scope: Scope, form: Form) -> Explanation:
    now = site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        choice = await choice_among(
            tx,
            scope,
            list_ids=form.ids("lists"),
            segment_ids=form.ids("segments"),
            without_lists=form.ids("not_lists"),
            without_segments=form.ids("not_segments"),
        )
        return await explain(tx, scope, await choose(tx, scope, choice, now=now))
