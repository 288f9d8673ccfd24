"""Mail that the development catcher took (P0-11); 404 where none is configured."""

from typing import Any

from anyio import to_thread
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import NotFound
from mailengine.core.paging import Page
from mailengine.web.maildir import Maildir, Part, body, parse, written_headers
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.listing import PAGE_ROWS, Listing, id_in, one_of, params_of
from mailengine.web.rendering import html
from mailengine.web.security import FRAMED_BY_US, MAIL_CSP
from mailengine.web.site import Site

PATH = "/caught"


def maildir(site: Site) -> Maildir:
    """The catcher's Maildir; raises NotFound without one."""
    if site.caught is None:
        raise NotFound("there is no mail catcher here")
    return site.caught


@get(PATH)
async def messages(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The messages that match, newest first, a page at a time."""
    params = params_of(request, "in")
    found = await to_thread.run_sync(maildir(site).lines, params["q"], one_of(params["in"], Part))
    start = id_in(params["cursor"]) or 0
    shown = found[start : start + PAGE_ROWS]
    after, before = start + PAGE_ROWS, max(0, start - PAGE_ROWS)
    there = Page(
        shown,
        len(found),
        str(after) if after < len(found) else None,
        str(before) if start else None,
    )
    listing = Listing(PATH, params, there, "message", "messages")
    return await page(site, request, "pages/caught.html", listing=listing, parts=list(Part))


@get("/caught/{message_id:str}")
async def message(
    request: UserRequest, site: NamedDependency[Site], message_id: FromPath[str]
) -> Response[str]:
    """One message: how it looks, its text, its headers."""
    found = await to_thread.run_sync(_read, maildir(site), message_id)
    return await page(site, request, "pages/caught_message.html", message=found)


@get("/caught/{message_id:str}/html")
async def message_html(site: NamedDependency[Site], message_id: FromPath[str]) -> Response[str]:
    """Its HTML, for the frame on its page."""
    raw = await to_thread.run_sync(maildir(site).raw, message_id)
    content = body(parse(raw), "html")
    if content is None:
        raise NotFound("this message has no HTML")
    return html(content, headers={"Content-Security-Policy": MAIL_CSP + FRAMED_BY_US})


@get("/caught/{message_id:str}/raw")
async def message_raw(site: NamedDependency[Site], message_id: FromPath[str]) -> Response[bytes]:
    """The message as it came over SMTP, as a file."""
    raw = await to_thread.run_sync(maildir(site).raw, message_id)
    return Response(
        raw,
        media_type="message/rfc822",
        headers={"Content-Disposition": 'attachment; filename="message.eml"'},
    )


def _read(source: Maildir, message_id: str) -> dict[str, Any]:
    line, parsed = source.line(message_id), parse(source.raw(message_id))
    return {
        "subject": line.subject,
        "sender": line.sender,
        "recipients": line.recipients,
        "received_at": line.received_at,
        "size_bytes": line.size_bytes,
        "html_url": f"{line.url}/html" if body(parsed, "html") is not None else None,
        "text": body(parsed, "plain"),
        "raw_url": f"{line.url}/raw",
        "headers": written_headers(parsed),
    }
