"""Pixel and click: the hottest endpoints. A token is checked without a database, the hit goes into memory,
the answer leaves; only a click reads, to know where it leads.

Invariants: a redirect goes only to a link of the message's own snapshot; a full buffer never stops one. HEAD
is what scanners send: it is answered and not counted.
"""

import uuid

from litestar import HttpMethod, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import NotFound
from mailengine.domain.tracking.intake import Hit
from mailengine.domain.tracking.tokens import Purpose, Recipient
from mailengine.models import EventKind
from mailengine.web.public.links import AnyRequest, origin_of, recipient_of
from mailengine.web.security import PUBLIC_HEADERS
from mailengine.web.site import Site

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b")
# Webmail shows the pixel inside its own pages.
PIXEL_HEADERS = {**PUBLIC_HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"}


@route("/o/{name:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False)
def pixel(request: AnyRequest, site: NamedDependency[Site], name: FromPath[str]) -> Response[bytes]:
    """An open."""
    recipient = recipient_of(site, name.removesuffix(".gif"), Purpose.TRACK)
    count(site, request, recipient, EventKind.OPEN)
    return Response(PIXEL, media_type="image/gif", headers=PIXEL_HEADERS)


@route("/c/{token:str}/{number:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def click(
    request: AnyRequest, site: NamedDependency[Site], token: FromPath[str], number: FromPath[str]
) -> Response[None]:
    """A click on link `number` of the message."""
    recipient = recipient_of(site, token, Purpose.TRACK)
    index = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else -1
    target = await site.targets.find(recipient, index)
    if target is None:
        raise NotFound("this link leads nowhere")
    count(site, request, recipient, EventKind.CLICK, index)
    return Response(None, status_code=302, headers={**PUBLIC_HEADERS, "Location": target})


def count(
    site: Site, request: AnyRequest, recipient: Recipient, kind: EventKind, link: int | None = None
) -> None:
    """Put the hit into the buffer, unless a HEAD asked."""
    if request.method == HttpMethod.HEAD:
        return
    who = origin_of(request)
    site.hits.add(
        Hit(
            uid=uuid.uuid4().hex,
            recipient=recipient,
            kind=kind,
            at=site.rt.clock.now(),
            link=link,
            ip=who.ip,
            user_agent=who.user_agent,
        )
    )
