"""The message in the browser (P3-06): what its recipient was sent, rendered again from the snapshot.

Invariant: it runs in a sandbox of its own origin (`security.MAIL_CSP`), so that nothing in a template, however
it got there, can act on this site.
"""

from anyio import to_thread
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.domain.content.online import read_copy, render_online
from mailengine.domain.content.values import Links
from mailengine.domain.tracking.events import message_of
from mailengine.domain.tracking.tokens import Purpose, Recipient
from mailengine.web.public.links import AnyRequest, recipient_of, scope_of
from mailengine.web.rendering import html
from mailengine.web.security import FRAMED_BY_NOBODY, MAIL_CSP, PUBLIC_HEADERS
from mailengine.web.site import Site

HEADERS = {**PUBLIC_HEADERS, "Content-Security-Policy": MAIL_CSP + FRAMED_BY_NOBODY}


@get("/v/{token:str}")
async def view(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """The message behind the link."""
    recipient = recipient_of(site, token, Purpose.MANAGE)
    scope = scope_of(recipient, request)
    async with site.rt.db.read(scope) as tx:
        message = await message_of(tx, scope, task_id=recipient.task_id)
        copy = await read_copy(tx, scope, message)
    return html(await to_thread.run_sync(render_online, copy, links_to(site, recipient)), headers=HEADERS)


def links_to(site: Site, recipient: Recipient) -> Links:
    """The recipient's own URLs, as they stand in the message."""
    base = site.rt.settings.base_url
    manage, track = (
        site.tokens.sign(recipient.task_id, recipient.tenant_id, purpose)
        for purpose in (Purpose.MANAGE, Purpose.TRACK)
    )
    return Links(
        unsubscribe=f"{base}/u/{manage}",
        view_online=f"{base}/v/{manage}",
        click=f"{base}/c/{track}",
        open=f"{base}/o/{track}.gif",
    )
