"""Deleted campaigns and templates: listed with the day of their end, brought back, nobody else's."""

from typing import Any

import httpx
import pytest

from mailengine.runtime import Runtime
from support.browsing import advance, log_in, token_on

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the pages show does not depend on the database; the domain's tests run on both."""
    return sqlite_dsn


async def test_what_was_deleted_is_listed_and_brought_back(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any
):
    await log_in(client, acme.email)
    csrf = {"x-csrftoken": await token_on(client, "/account")}
    assert "Nothing was deleted" in (await client.get("/campaigns/deleted")).text
    template = f"/templates/deleted/{acme.template_id}"
    campaign = f"/campaigns/deleted/{acme.campaign_id}"
    assert (await client.post(campaign, headers=csrf)).status_code == 404, "it is not deleted"
    for kind, number in (("campaigns", acme.campaign_id), ("templates", acme.template_id)):
        gone = await client.post(f"/{kind}/{number}/delete", headers=csrf)
        assert gone.status_code == 303, gone.text
    page = (await client.get("/campaigns/deleted?q=acme")).text
    assert "acme &lt;script&gt;" in page
    assert "31 Mar 2026" in page, "30 days after the first of the month"
    assert "Nothing found" in (await client.get("/campaigns/deleted?q=nothing")).text
    assert "acme letter" in (await client.get("/templates/deleted")).text
    for path, words in ((campaign, "acme &lt;script&gt; is back"), (template, "acme letter is back")):
        back = await client.post(path, headers=csrf)
        assert words in (await client.get(back.headers["location"])).text
    assert "Nothing was deleted" in (await client.get("/templates/deleted")).text
    await client.post(f"/templates/{acme.template_id}/delete", headers=csrf)
    await client.post("/logout", headers=csrf)
    await log_in(client, other.email)
    theirs = {"x-csrftoken": await token_on(client, "/account")}
    assert "acme" not in (await client.get("/templates/deleted")).text
    assert (await client.post(template, headers=theirs)).status_code == 404
    await client.post("/logout", headers=theirs)
    advance(rt, days=31)
    await log_in(client, acme.email)
    late = {"x-csrftoken": await token_on(client, "/account")}
    assert (await client.post(template, headers=late)).status_code == 404
