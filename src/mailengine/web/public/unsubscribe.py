"""Leaving and coming back, without a login (P5-09): the token in the link is the credential.

Invariants: GET changes nothing, because link scanners open links; POST has committed before it is answered,
so that a mail program's one-click (RFC 8058 section 3.2) can be believed. There are no cookies, so there is
nothing that another site could ride on, and no CSRF token.
"""

from typing import Any

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Scope
from mailengine.domain.contacts.states import resubscribe, unsubscribe
from mailengine.domain.tracking.events import MessageOf, message_of, record
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import EventKind
from mailengine.web.public.links import AnyRequest, origin_of, public_page, recipient_of, scope_of
from mailengine.web.security import PUBLIC_HEADERS
from mailengine.web.site import Site

# The field that RFC 8058 section 3.1 prescribes, in the two encodings that it allows. Looked for as bytes: a
# form that is put together badly must unsubscribe all the same.
ONE_CLICK = (b"List-Unsubscribe=One-Click", b'name="List-Unsubscribe"')
MAX_FORM_BYTES = 10_000


@get("/u/{token:str}")
async def ask(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """The page with the button."""
    recipient = recipient_of(site, token, Purpose.MANAGE)
    scope = scope_of(recipient, request)
    async with site.rt.db.read(scope) as tx:
        message = await message_of(tx, scope, task_id=recipient.task_id)
    return await _page(
        site, request, scope, "public/unsubscribe.html", message, preferences_url=f"/p/{token}"
    )


@post("/u/{token:str}", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def leave(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """Unsubscribe; a mail program gets plain text, a person the page with the way back."""
    one_click = await is_one_click(request)
    reason = "one-click" if one_click else "link"
    scope, message = await _apply(site, request, token, EventKind.UNSUBSCRIBE, reason)
    if one_click:
        return Response("unsubscribed\n", media_type=MediaType.TEXT, headers=PUBLIC_HEADERS)
    back = f"/u/{token}/resubscribe"
    return await _page(site, request, scope, "public/unsubscribed.html", message, resubscribe_url=back)


@post("/u/{token:str}/resubscribe", status_code=200, request_max_body_size=MAX_FORM_BYTES)
async def come_back(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[str]:
    """Subscribe again."""
    scope, message = await _apply(site, request, token, EventKind.RESUBSCRIBE, "link")
    return await _page(
        site, request, scope, "public/resubscribed.html", message, unsubscribe_url=f"/u/{token}"
    )


async def is_one_click(request: AnyRequest) -> bool:
    """Whether a mail program posted this, and not a person on the page."""
    body = await request.body()
    return any(field in body for field in ONE_CLICK)


async def _apply(
    site: Site, request: AnyRequest, token: str, kind: EventKind, reason: str
) -> tuple[Scope, MessageOf]:
    """Change the contact and write the event in one transaction; asking twice writes one event."""
    recipient = recipient_of(site, token, Purpose.MANAGE)
    scope = scope_of(recipient, request)
    now = site.rt.clock.now()
    act = unsubscribe if kind is EventKind.UNSUBSCRIBE else resubscribe
    async with site.rt.db.write(scope) as tx:
        message = await message_of(tx, scope, task_id=recipient.task_id)
        if await act(tx, scope, contact_id=message.contact_id, now=now, reason=reason):
            await record(tx, scope, message, kind, now=now, origin=origin_of(request))
    return scope, message


async def _page(
    site: Site, request: AnyRequest, scope: Scope, template: str, message: MessageOf, **values: str
) -> Response[str]:
    organisation, email = message.organisation, message.email
    return await public_page(
        site, request, scope, template, organisation=organisation, email=email, **dict[str, Any](values)
    )
