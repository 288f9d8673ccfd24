"""Mail that the development catcher took (P0-11); 404 where none is configured."""

from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from mailengine.core.errors import NotFound
from mailengine.web.maildir import Maildir, Part, body, parse, written_headers
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.listing import one_of
from mailengine.web.rendering import html
from mailengine.web.security import FRAMED_BY_US, MAIL_CSP
from mailengine.web.site import Site

PAGE = 50


def maildir(site: Site) -> Maildir:
    """The catcher's Maildir; raises NotFound without one."""
    if site.caught is None:
        raise NotFound("there is no mail catcher here")
    return site.caught


@get("/caught")
async def messages(
    request: UserRequest,
    site: NamedDependency[Site],
    words: Annotated[str, QueryParameter(name="query", max_length=200)] = "",
    part: Annotated[str, QueryParameter(name="in", max_length=20)] = "",
    start: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
) -> Response[str]:
    """The messages that match, newest first, a page at a time."""
    where = one_of(part, Part)
    found = await to_thread.run_sync(maildir(site).lines, words, where)
    return await page(
        site,
        request,
        "pages/caught.html",
        query=words,
        part=where,
        parts=list(Part),
        total=len(found),
        messages=found[start : start + PAGE],
        previous=_page_url(words, where, max(0, start - PAGE)) if start > 0 else None,
        next=_page_url(words, where, start + PAGE) if start + PAGE < len(found) else None,
    )


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


def _page_url(query: str, part: Part | None, start: int) -> str:
    return "?" + urlencode({"query": query, "in": part or "", "start": start})
