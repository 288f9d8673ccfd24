"""A visitor of the web face without a browser: fills in forms with their tokens, as a person's browser would."""

import re
from typing import Any

import httpx

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
