"""The pages of contacts, lists and suppression: what a person does there, and what they may not."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.models import Contact, Membership, Suppression
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


async def log_in(client: Any, slug: str = "acme") -> str:
    token = TOKEN.search((await client.get("/login")).text)
    assert token
    data = {"email": f"owner@{slug}.test", "password": PASSWORD, "_csrf_token": token[1]}
    assert (await client.post("/login", data=data)).status_code == 303
    found = TOKEN.search((await client.get("/contacts")).text)
    assert found
    return found[1]


async def test_a_contact_is_added_changed_tagged_left_deleted_and_restored(client: Any, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    typed = {"email": "Bo@Example.org", "first_name": "Bo", **csrf}
    refused = await client.post("/contacts/new", data=typed)
    assert refused.status_code == 422
    assert "Say how they agreed to be written to." in refused.text
    assert 'value="Bo@Example.org"' in refused.text
    assert refused.headers["hx-push-url"] == "false"
    made = await client.post("/contacts/new", data={**typed, "consent_source": "trade fair"})
    assert made.status_code == 303
    here = made.headers["location"]
    page = (await client.get(here)).text
    assert "Bo@example.org was added" in page
    assert "trade fair" in page
    assert "was added" not in (await client.get(here)).text, "a toast is said once"
    again = await client.post("/contacts/new", data={**typed, "consent_source": "x"})
    assert again.status_code == 422
    assert "There is already a contact" in again.text
    for path, data, words in [
        ("edit", {"first_name": "Bob", "last_name": "B"}, "The changes were saved"),
        ("tag", {"tag": "vip"}, "Tagged with vip"),
        ("unsubscribe", {}, "gets no more campaigns"),
        ("delete", {}, "was deleted"),
        ("restore", {}, "is back"),
    ]:
        answer = await client.post(f"{here}/{path}", data={**data, **csrf})
        assert answer.status_code == 303, path
        assert words in (await client.get(answer.headers["location"])).text
    page = (await client.get("/contacts?q=bob&state=unsubscribed&sort=address")).text
    assert "Bo@example.org" in page
    assert "vip" in page
    assert "ann@acme.test" not in page
    assert (await client.post(f"{here}/explode", data=csrf)).status_code == 404


async def test_rows_that_are_ticked_are_changed_together(client: Any, rt: Runtime, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    ids = {"ids": [str(acme.contact_id)]}
    for act, words in [("delete", "1 contact deleted"), ("restore", "1 contact restored")]:
        answer = await client.post("/contacts/bulk", data={**ids, "act": act, **csrf})
        assert words in (await client.get(answer.headers["location"])).text
    nothing = await client.post("/contacts/bulk", data={"act": "delete", **csrf})
    assert "Nothing was selected" in (await client.get(nothing.headers["location"])).text


async def test_pages_follow_each_other_and_lead_back(client: Any, rt: Runtime, acme: Any):
    rows = [
        {
            "tenant_id": int(acme.scope.tenant_id),
            "email": f"p{number:03}@x.test",
            "email_key": f"p{number:03}@x.test",
        }
        | {"created_at": rt.clock.now(), "updated_at": rt.clock.now()}
        for number in range(120)
    ]
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.insert(Contact), rows)
    await log_in(client)
    link = re.compile(r'href="(/contacts\?[^"]*cursor=[^"]*)"[^>]*>(?:<svg.*?</svg>)?(Next|Previous)')

    async def open_page(url: str) -> tuple[str, dict[str, str]]:
        text = (await client.get(url.replace("&amp;", "&"))).text
        return text, {word: found for found, word in link.findall(text)}

    first, links = await open_page("/contacts?q=x.test&sort=address")
    assert ("p000@" in first, "p050@" in first, set(links)) == (True, False, {"Next"})
    second, links = await open_page(links["Next"])
    assert ("p050@" in second, set(links)) == (True, {"Next", "Previous"})
    last, links = await open_page(links["Next"])
    assert ("p119@" in last, set(links)) == (True, {"Previous"})
    _, links = await open_page(links["Previous"])
    back, links = await open_page(links["Previous"])
    assert ("p000@" in back, set(links)) == (True, {"Next"})
    assert "120 contacts" in back


async def test_addresses_are_suppressed_and_allowed_again(client: Any, rt: Runtime, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    wrong = await client.post("/suppression", data={"targets": "a@example.org\nnot an address", **csrf})
    assert wrong.status_code == 422
    assert "not an address" in wrong.text
    added = await client.post("/suppression", data={"targets": "ann@acme.test\nexample.com", **csrf})
    assert "2 added" in (await client.get(added.headers["location"])).text
    assert "This address is suppressed" in (await client.get(f"/contacts/{acme.contact_id}")).text
    async with rt.db.read(INSTANCE) as tx:
        ids = [str(found) for found in await tx.scalars(sa.select(col(Suppression.id)))]
    removed = await client.post("/suppression/remove", data={"ids": ids, **csrf})
    assert "2 taken off" in (await client.get(removed.headers["location"])).text
    made = await client.post("/lists/new", data={"name": " Friends  of <b>", **csrf})
    assert "Friends of &lt;b&gt;" in (await client.get(made.headers["location"])).text
    assert (await client.post("/lists/new", data={"name": "Friends of <b>", **csrf})).status_code == 422


async def test_other_tenants_and_viewers_change_nothing(client: Any, rt: Runtime, acme: Any, other: Any):
    csrf = {"_csrf_token": await log_in(client)}
    theirs = f"/contacts/{other.contact_id}"
    for path in (theirs, f"{theirs}/edit"):
        assert (await client.get(path)).status_code == 404
    for act in ("edit", "delete", "tag", "unsubscribe"):
        assert (await client.post(f"{theirs}/{act}", data={"tag": "x", **csrf})).status_code == 404, act
    data = {"ids": [str(other.contact_id)], "act": "delete", **csrf}
    assert (await client.post("/contacts/bulk", data=data)).status_code == 404
    assert "other" not in (await client.get("/contacts")).text.replace("another", "")
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    page = (await client.get("/contacts")).text
    assert "Add a contact" not in page
    assert 'name="ids"' not in page
    for path in (
        "contacts/new",
        "contacts/bulk",
        f"contacts/{acme.contact_id}/delete",
        "lists/new",
        "suppression",
    ):
        sent = {
            "email": "x@y.test",
            "consent_source": "x",
            "name": "x",
            "targets": "a@b.test",
            "act": "delete",
        }
        answer = await client.post(f"/{path}", data={**sent, "ids": str(acme.contact_id), **csrf})
        assert answer.status_code == 403, path
