"""A visitor of the web face without a browser: fills in forms with their tokens, as a person's browser would."""

import re
from datetime import timedelta
from typing import Any

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode

from mailengine.core.clock import ManualClock
from mailengine.runtime import Runtime

PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


async def token_on(client: httpx.AsyncClient, path: str) -> str:
    """The CSRF token of the page's form."""
    page = await client.get(path)
    found = TOKEN.search(page.text)
    assert found, f"{path}: {page.status_code} {page.text[:300]}"
    return found[1]


async def submit(
    client: httpx.AsyncClient, path: str, *, page: str | None = None, **fields: Any
) -> httpx.Response:
    """Post a form that stands on `page` (by default on the address that it posts to)."""
    fields["_csrf_token"] = await token_on(client, page or path)
    return await client.post(path, data=fields, headers={"Referer": f"{client.base_url}{page or path}"})


async def log_in(
    client: httpx.AsyncClient, email: str, password: str = PASSWORD, **fields: str
) -> httpx.Response:
    return await submit(client, "/login", email=email, password=password, **fields)


def fields_of(page: str, form: str) -> dict[str, list[str]]:
    """What a browser would send of the form with that id, buttons left out (HTML, 4.10.21.4)."""
    found: dict[str, list[str]] = {}
    for node in LexborHTMLParser(page).css(f"#{form} input, #{form} select, #{form} textarea"):
        for value in _values(node):
            found.setdefault(str(node.attributes["name"]), []).append(value)
    return found


def _values(node: LexborNode) -> list[str]:
    given = node.attributes
    if node.tag == "select":
        options = node.css("option")
        chosen = [each for each in options if "selected" in each.attributes] or options[:1]
        return [str(each.attributes.get("value") or "") for each in chosen]
    if node.tag == "textarea":
        return [node.text(deep=True).removeprefix("\n")]
    if given.get("type") in ("checkbox", "radio") and "checked" not in given:
        return []
    return [str(given.get("value") or "")]


def advance(rt: Runtime, **time: float) -> None:
    """Time passes: `advance(rt, minutes=11)`."""
    assert isinstance(rt.clock, ManualClock)
    rt.clock.advance(timedelta(**time))
