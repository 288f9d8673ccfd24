"""Messages that are no campaign's: what became of each, and the way back for those that failed. Their bodies may hold
secrets and are shown nowhere."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Grant
from mailengine.domain.delivery.transactional import messages
from mailengine.models import MessageStatus
from mailengine.web.forms import Form
from mailengine.web.pages.delivery import NOTHING_CHOSEN
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

PATH = "/delivery/messages"


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Newest first."""
    scope, params = request.auth.scope, params_of(request, "status")
    async with site.rt.db.read(scope) as tx:
        found = await messages.list_messages(
            tx,
            scope,
            status=one_of(params["status"], MessageStatus),
            text=params["q"],
            request=page_of(params),
        )
    listing = Listing(PATH, params, found, "message", "messages")
    return await page(site, request, "pages/messages.html", listing=listing, statuses=list(MessageStatus))


@get(f"{PATH}/{{message_id:int}}")
async def show(request: UserRequest, site: NamedDependency[Site], message_id: FromPath[int]) -> Response[str]:
    """One of them, with the server's words."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        row = await messages.get_message(tx, scope, message_id=message_id)
    again = row.status == MessageStatus.FAILED and row.text != ""
    return await page(site, request, "pages/message.html", row=row, again=again)


@post(PATH, opt={NEEDS: Grant.SEND})
async def requeue(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Try the ones that were chosen again."""
    scope, ids = request.auth.scope, (await Form.of(request)).ids()
    if not ids:
        return done(site, PATH, NOTHING_CHOSEN, "warning")
    async with site.rt.db.write(scope) as tx:
        number = await messages.requeue(tx, scope, ids=ids, cause=None, now=site.rt.clock.now())
    words = f"{number:,} back in the queue"
    if number < len(ids):
        words += f"; {len(ids) - number:,} stay: only what failed is tried again, for 7 days"
    return done(site, PATH, words, "success" if number else "warning")
