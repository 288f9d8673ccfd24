"""Deleting a list on its page and over the API; links that are in inboxes lead on."""

import html
import re
from typing import Any

import httpx
import pytest

from mailengine.daemon.chores import CHORES, Chores
from mailengine.domain.contacts import lists
from mailengine.domain.contacts.contacts import get_contact
from mailengine.domain.delivery.transactional.senders import Sender, set_default_sender
from mailengine.domain.signup import forms
from mailengine.domain.signup.forms import FormFields
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import Message, Role
from mailengine.runtime import Runtime
from support.browsing import log_in, token_on
from support.house import INSTANCE, NOW

pytestmark = pytest.mark.anyio
LISTS = "/api/v1/lists"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


async def lead_to(rt: Runtime, sent: Any, *names: str) -> int:
    """A form to lists that ask for a confirmation."""
    async with rt.db.write(sent.scope) as tx:
        await set_default_sender(tx, sent.scope, sender=Sender("", f"hello@{sent.email[6:]}"), now=NOW)
        for name in names:
            made = await lists.get_or_create(tx, sent.scope, name=name, now=NOW)
            await lists.update_list(tx, sent.scope, list_id=made.id or 0, double_opt_in=True, now=NOW)
        fields = FormFields(name="Site <b>", lists=names)
        return (await forms.create_form(tx, sent.scope, fields, organisation="Acme", now=NOW)).id or 0


async def without_form(rt: Runtime, sent: Any, form_id: int) -> None:
    async with rt.db.write(sent.scope) as tx:
        await forms.delete_form(tx, sent.scope, form_id=form_id, now=NOW)


async def test_over_the_api(client: Any, rt: Runtime, acme: Any, other: Any, key: Any) -> None:
    mine, theirs = await key(acme.scope, Role.EDITOR), await key(other.scope, Role.OWNER)
    viewer, url = await key(acme.scope, Role.VIEWER), f"{LISTS}/{acme.list_id}"
    form_id = await lead_to(rt, acme, "acme customers")
    for headers, status, words in (
        (theirs, 404, "there is no list"), (viewer, 403, ""), (None, 401, ""),
        (mine, 422, "acme customers is used by the form Site <b>; take it out there"),
    ):  # fmt: skip
        refused = await client.delete(url, headers=headers)
        assert (refused.status_code, words in refused.json()["detail"]) == (status, True), refused.text
    await without_form(rt, acme, form_id)
    gone = await client.delete(url, headers=mine)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.delete(url, headers=mine)).status_code == 404
    assert (await client.patch(url, json={"public": True}, headers=mine)).status_code == 404
    assert (await client.get(LISTS, headers=mine)).json()["total"] == 0
    assert (await client.get(LISTS, headers=theirs)).json()["total"] == 1
    assert (await client.get("/api/v1/contacts", headers=mine)).json()["total"] == 1
    assert (await client.post(LISTS, json={"name": "acme customers"}, headers=mine)).status_code == 201


async def test_on_its_page(client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any) -> None:
    await log_in(client, acme.email)
    csrf, url = {"_csrf_token": await token_on(client, "/account")}, f"/lists/{acme.list_id}"
    form_id = await lead_to(rt, acme, "acme customers")
    used = (await client.get(url)).text
    assert ("The form Site &lt;b&gt;" in used, f"{url}/members" in used) == (True, False)
    assert "The form Site &lt;b&gt;" in (await client.post(url, data={"name": "", **csrf})).text
    refused = await client.post(f"{url}/delete", data=csrf)
    assert (refused.status_code, "is used by the form Site &lt;b&gt;" in refused.text) == (422, True)
    await without_form(rt, acme, form_id)
    assert f'hx-get="{url}/members"' in (await client.get(url)).text
    piece = (await client.get(f"{url}/members")).text
    assert 'data-confirm="Delete the list acme customers?"' in html.unescape(piece)
    assert "1 person is taken off it, and stays a contact. That cannot be undone." in piece
    await client.post("/logout", data=csrf)
    await log_in(client, other.email)
    theirs = {"_csrf_token": await token_on(client, "/account")}
    assert (await client.get(f"{url}/members")).status_code == 404
    assert (await client.post(f"{url}/delete", data=theirs)).status_code == 404
    await client.post("/logout", data=theirs)
    await log_in(client, acme.email)
    csrf = {"_csrf_token": await token_on(client, "/account")}
    gone = await client.post(f"{url}/delete", data=csrf)
    assert "The list acme customers was deleted" in (await client.get(gone.headers["location"])).text
    assert [(await client.get(path)).status_code for path in (url, f"{url}/members")] == [404, 404]
    report = (await client.get(f"/campaigns/{acme.campaign_id}")).text
    assert "to acme customers" in report
    for path in (f"/contacts?list={acme.list_id}", "/lists", "/contacts", f"/contacts/{acme.contact_id}"):
        page = await client.get(path)
        assert (page.status_code, "acme customers" in page.text) == (200, False), path
    assert "ann@acme.test" not in (await client.get(f"/contacts?list={acme.list_id}")).text


async def test_links_in_inboxes_lead_on(client: Any, rt: Runtime, acme: Any) -> None:
    form_id = await lead_to(rt, acme, "acme customers")
    async with rt.db.read(acme.scope) as tx:
        form = await forms.get_by_id(tx, acme.scope, form_id=form_id)
        address = {"address": "ann@acme.test"}
    assert (await client.post(f"/f/{form.uid}", data={"email": "new@x.test"})).status_code == 200
    await without_form(rt, acme, form_id)
    await delete_it(rt, client, acme)
    token = acme.token(rt, Purpose.MANAGE)
    page = await client.get(f"/p/{token}")
    assert (page.status_code, "There is nothing to choose." in page.text) == (200, True)
    assert ("acme customers" in page.text, ">Save<" in page.text) == (False, False)
    assert "Unsubscribe" in (await client.get(f"/u/{token}")).text
    for act, path, data in (
        ("unsubscribed", f"/u/{token}", {"List-Unsubscribe": "One-Click"}),
        ("subscribed", f"/u/{token}/resubscribe", {}),
        ("unsubscribed", f"/p/{token}", {"all": "off", "lists": [str(acme.list_id)]}),
    ):
        assert (await client.post(path, data=data)).status_code == 200
        async with rt.db.read(acme.scope) as tx:
            assert (await get_contact(tx, acme.scope, **address)).state == act
    confirmation = await link(rt)
    for method in ("get", "post"):  # nobody is brought onto a list that is not there
        assert (await getattr(client, method)(confirmation)).status_code == 404
    async with rt.db.read(acme.scope) as tx:
        assert (await get_contact(tx, acme.scope, address="new@x.test")).state == "unconfirmed"


async def delete_it(rt: Runtime, client: httpx.AsyncClient, sent: Any) -> None:
    """On its page, and emptied by the daemon."""

    async def go() -> bool:
        return True

    await log_in(client, sent.email)
    csrf = {"_csrf_token": await token_on(client, "/account")}
    assert (await client.post(f"/lists/{sent.list_id}/delete", data=csrf)).status_code == 303
    await Chores(rt, [chore for chore in CHORES if chore.name == "deleted lists"]).turn(go)
    client.cookies.clear()


async def link(rt: Runtime) -> str:
    """The path of the confirmation that was sent."""
    async with rt.db.read(INSTANCE) as tx:
        sent = await tx.get(Message, 1)
    assert sent is not None
    found = re.search(r"/f/confirm/\S+", sent.text)
    assert found is not None
    return found[0]
