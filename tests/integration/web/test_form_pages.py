"""The pages of sign-up forms and of the lists that they lead to."""

from typing import Any

import pytest

from mailengine.core.scope import Scope
from mailengine.domain.contacts import lists
from mailengine.domain.signup import forms
from mailengine.domain.signup.forms import FormFields
from mailengine.models import SignupForm
from mailengine.runtime import Runtime
from support.browsing import fields_of, log_in, token_on

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the pages do with a database does not depend on which it is."""
    return sqlite_dsn


async def add_form(rt: Runtime, sent: Any) -> SignupForm:
    async with rt.db.write(sent.scope) as tx:
        fields = FormFields(name="Footer", lists=["acme customers"])
        return await forms.create_form(tx, sent.scope, fields, organisation="Acme", now=rt.clock.now())


async def get(rt: Runtime, scope: Scope, form_id: int) -> SignupForm:
    async with rt.db.read(scope) as tx:
        return await forms.get_by_id(tx, scope, form_id=form_id)


async def test_a_form_is_made_looked_at_switched_off_and_deleted(client: Any, rt: Runtime, acme: Any):
    await log_in(client, acme.email)
    page = (await client.get("/forms/new")).text
    assert "I want to get the newsletters of acme &amp; &lt;Co&gt; by e-mail." in page
    sent = fields_of(page, "content form.panel") | {"name": ["Footer"]}
    refused = await client.post("/forms/new", data=sent | {"title": [" "]})
    assert refused.status_code == 422
    assert "A form&#39;s title must have 1 to 200 characters." in refused.text
    assert "Choose a list at least" in refused.text
    sent |= {"lists": [str(acme.list_id)], "title": ["News & more"], "ask_name": ["1"]}
    made = await client.post("/forms/new", data=sent)
    assert made.status_code == 303, made.text
    here = made.headers["location"]
    form = await get(rt, acme.scope, int(here.rsplit("/", 1)[1]))
    assert (form.title, form.list_ids, form.ask_name, form.enabled) == (
        "News & more",
        [acme.list_id],
        True,
        True,
    )
    page = (await client.get(here)).text
    assert f"/f/{form.uid}" in page
    assert "&lt;form action=&#34;" in page, "the code to copy"
    frame = await client.get(f"{here}/preview")
    assert "News &amp; more" in frame.text
    assert "First name" in frame.text
    assert "frame-ancestors 'self'" in frame.headers["content-security-policy"]
    assert (await client.get(f"/f/{form.uid}")).status_code == 200
    sent = fields_of(page, "content form.panel")
    sent = {name: values for name, values in sent.items() if name != "enabled"} | {"name": ["Bottom"]}
    assert (await client.post(here, data=sent)).status_code == 303
    assert (await client.get(f"/f/{form.uid}")).status_code == 404
    assert (await client.get(f"{here}/preview")).status_code == 200
    assert "Bottom" in (await client.get("/forms?state=off&q=bot")).text
    assert "No form found" in (await client.get("/forms?state=on")).text
    taken = {name: sent[name] for name in ("_csrf_token", "title", "wording", "lists")} | {"name": ["Bottom"]}
    again = await client.post("/forms/new", data=taken)
    assert again.status_code == 422
    assert "There is already a form called Bottom." in again.text
    gone = await client.post(f"{here}/delete", data={"_csrf_token": sent["_csrf_token"]})
    assert gone.status_code == 303
    assert "No sign-up forms yet" in (await client.get("/forms")).text


async def test_a_form_of_another_tenant_is_not_there_and_leads_to_no_list_of_theirs(
    client: Any, rt: Runtime, acme: Any, other: Any
):
    form = await add_form(rt, acme)
    here = f"/forms/{form.id}"
    await log_in(client, other.email)
    body = {"_csrf_token": await token_on(client, "/forms/new"), "name": "Mine", "title": "x", "wording": "y"}
    for path in (here, f"{here}/preview"):
        assert (await client.get(path)).status_code == 404
    for path in (here, f"{here}/delete"):
        assert (await client.post(path, data=body | {"lists": str(other.list_id)})).status_code == 404
    refused = await client.post("/forms/new", data=body | {"lists": str(acme.list_id)})
    assert refused.status_code == 422
    assert f"There is no list {acme.list_id}." in refused.text
    assert (await get(rt, acme.scope, form.id or 0)).name == "Footer"
    assert "Footer" not in (await client.get("/forms")).text
    assert (await client.get(f"/lists/{acme.list_id}")).status_code == 404
    assert (await client.post(f"/lists/{acme.list_id}", data=body)).status_code == 404


async def test_a_list_says_how_people_get_onto_it(client: Any, rt: Runtime, acme: Any):
    await log_in(client, acme.email)
    token = {"_csrf_token": await token_on(client, "/lists/new")}
    typed = {"name": "Tips", "description": "Every week.", "double_opt_in": "1", **token}
    assert (await client.post("/lists/new", data=typed)).status_code == 303
    async with rt.db.read(acme.scope) as tx:
        row = await lists.get_list(tx, acme.scope, name="Tips")
    assert (row.description, row.double_opt_in, row.public) == ("Every week.", True, False)
    here = f"/lists/{row.id}"
    page = (await client.get(here)).text
    assert 'value="Every week."' in page
    taken = await client.post(here, data={"name": "acme customers", **token})
    assert taken.status_code == 422
    assert "There is already a list called acme customers." in taken.text
    long = await client.post(here, data={"name": "Tips", "description": "x" * 1001, **token})
    assert "1000 characters at most" in long.text
    assert (await client.post(here, data={"name": "Tips 2", "public": "1", **token})).status_code == 303
    async with rt.db.read(acme.scope) as tx:
        row = await lists.get_list(tx, acme.scope, name="Tips 2")
    assert (row.description, row.double_opt_in, row.public) == ("", False, True)
    assert "Offered to everybody" in (await client.get("/lists")).text
