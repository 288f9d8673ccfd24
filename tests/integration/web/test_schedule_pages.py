"""Sending later in the browser and over the API, and the settings that belong to it."""

from typing import Any

import pytest
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns import campaigns
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.content import templates
from mailengine.domain.senders import relays
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import Campaign, Contact, ContactState, Tls
from mailengine.runtime import Runtime
from support.browsing import fields_of, log_in, token_on

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The rules are tested on both databases."""
    return sqlite_dsn


async def draft(rt: Runtime, sent: Any) -> int:
    """A draft that can be sent, but for the warnings that every installation of a test has."""
    now = rt.clock.now()
    details = relays.check_relay(name="main", host="127.0.0.1", port=25, tls=Tls.NONE)
    html = "<p>Hi {{ first_name }}</p><p>{{ postal_address }} <a href='{{ unsubscribe_url }}'>Leave</a></p>"
    prepared = await templates.prepare(html, known=())
    async with rt.db.write(sent.scope) as tx:
        await templates.add(tx, sent.scope, name="News", prepared=prepared, now=now)
        await relays.add(tx, sent.scope, details=details, keyring=rt.keyring, now=now)
        contact = await tx.scalar(owned(Contact, sent.scope).where(col(Contact.id) == sent.contact_id))
        contact.state = ContactState.SUBSCRIBED
        fields = Fields(
            name="Spring",
            template="News",
            subject="Hi",
            sender="a@acme.test",
            lists=["acme customers"],
        )
        return (await campaigns.create(tx, sent.scope, fields, now=now)).id or 0


async def seen(rt: Runtime, scope: Scope, campaign_id: int) -> Campaign:
    async with rt.db.read(scope) as tx:
        return await campaigns.get(tx, scope, campaign_id=campaign_id)


async def test_a_campaign_is_scheduled_in_the_zone_of_the_organisation_and_back(
    client: Any, rt: Runtime, acme: Any
):
    campaign_id = await draft(rt, acme)
    await log_in(client, acme.email)
    page = (await client.get("/settings/organisation")).text
    sent = fields_of(page, "content form")
    wrong = await client.post("/settings/organisation", data=sent | {"time_zone": ["Mars/Olympus"]})
    assert wrong.status_code == 422
    assert "is no time zone" in wrong.text
    saved = await client.post("/settings/organisation", data=sent | {"time_zone": ["Europe/Berlin"]})
    assert saved.status_code == 303
    here = f"/campaigns/{campaign_id}"
    page = (await client.get(f"{here}/review")).text
    assert '<option value="Europe/Berlin" selected>' in page
    typed = {
        "_csrf_token": await token_on(client, f"{here}/review"),
        "act": "later",
        "date": "2026-03-29",
        "time": "02:30",
        "zone": "Europe/Berlin",
        "accepted": "1",
    }
    for change, words in (
        ({}, "There is no 02:30 in Europe/Berlin on 2026-03-29"),
        ({"date": "2026-02-28"}, "This time has passed"),
        ({"date": ""}, "is no time; write it like"),
        ({"zone": "x"}, "is no time zone"),
        ({"accepted": ""}, "Read the warnings and say that you accept them."),
    ):
        refused = await client.post(f"{here}/review", data=typed | change)
        assert refused.status_code == 422, words
        assert words in refused.text.replace("&#39;", "'"), words
        assert '<details class="mt-4" open>' in refused.text, "what was typed is not hidden"
    done = await client.post(f"{here}/review", data=typed | {"time": "09:00"})
    assert done.status_code == 303, done.text
    assert (await seen(rt, acme.scope, campaign_id)).state == "scheduled"
    page = (await client.get(here)).text
    assert "Spring is sent on 29 March 2026 at 09:00 (Europe/Berlin)" in page
    assert "Sunday, 29 March 2026 at 09:00 (Europe/Berlin)" in page
    assert "Is sent" in (await client.get("/campaigns?state=scheduled")).text
    assert (await client.get(f"{here}/content")).status_code == 409
    back = await client.post(f"{here}/unschedule", data={"_csrf_token": typed["_csrf_token"]})
    assert back.status_code == 303
    assert (await seen(rt, acme.scope, campaign_id)).state == "draft"
    async with rt.db.write(acme.scope) as tx:
        row = await campaigns.get(tx, acme.scope, campaign_id=campaign_id)
        row.scheduled_at, row.schedule_faults = rt.clock.now(), ["nobody would receive it"]
    assert "Nobody would receive it" in (await client.get(f"{here}/review")).text
    assert "Was not sent at its time" in (await client.get("/campaigns")).text


async def test_over_the_api(client: Any, rt: Runtime, acme: Any, other: Any):
    campaign_id = await draft(rt, acme)
    await log_in(client, acme.email)
    headers = {"x-csrftoken": await token_on(client, "/account")}
    here = f"/api/v1/campaigns/{campaign_id}"
    body = {"at": "2026-03-29 09:00", "time_zone": "Europe/Berlin"}
    done = await client.post(f"{here}/schedule", json=body, headers=headers)
    assert done.status_code == 200, done.text
    shown = done.json()["campaign"]
    assert (shown["state"], shown["scheduled_at"], shown["schedule_zone"]) == (
        "scheduled",
        "2026-03-29T07:00:00Z",
        "Europe/Berlin",
    )
    assert done.json()["audience"] == 1
    again = await client.post(f"{here}/schedule", json={"at": "2026-03-29T09:00:00+05:00"}, headers=headers)
    assert again.json()["campaign"]["scheduled_at"] == "2026-03-29T04:00:00Z"
    for wrong in (
        {"at": "soon"},
        {"at": "2020-01-01 09:00"},
        {"at": "2026-03-29 09:00", "time_zone": "x"},
        {},
    ):
        refused = await client.post(f"{here}/schedule", json=wrong, headers=headers)
        assert refused.status_code == 400, refused.text
    assert (await client.delete(here, headers=headers)).status_code == 409
    assert (await client.post(f"{here}/unschedule", headers=headers)).json()["state"] == "draft"
    assert (await client.post(f"{here}/unschedule", headers=headers)).status_code == 409
    client.cookies.clear()
    await log_in(client, other.email)
    headers = {"x-csrftoken": await token_on(client, "/account")}
    assert (await client.post(f"{here}/schedule", json=body, headers=headers)).status_code == 404
    assert (await client.post(f"{here}/unschedule", headers=headers)).status_code == 404


async def test_links_stand_below_public_pages_and_new_campaigns_count_what_was_set(
    client: Any, rt: Runtime, acme: Any, other: Any
):
    await log_in(client, acme.email)
    sent = fields_of((await client.get("/settings/links")).text, "content form")
    for url in ("javascript:alert(1)", "ftp://x.test", "https://a@b.test", "https://x.test/ ü"):
        refused = await client.post("/settings/links", data=sent | {"privacy_url": [url]})
        assert refused.status_code == 422, url
        assert "The address must look like https://example.org/privacy." in refused.text
    sent |= {"privacy_url": ["https://acme.test/privacy"], "track_opens": []}
    assert (await client.post("/settings/links", data=sent)).status_code == 303
    token = acme.token(rt, Purpose.MANAGE)
    for path in (f"/u/{token}", f"/p/{token}"):
        assert 'href="https://acme.test/privacy"' in (await client.get(path)).text
    assert "acme.test/privacy" not in (await client.get(f"/u/{other.token(rt, Purpose.MANAGE)}")).text
    campaign_id = await draft(rt, acme)
    row = await seen(rt, acme.scope, campaign_id)
    assert (row.track_opens, row.track_clicks) == (False, True)
    async with rt.db.read(other.scope) as tx:
        assert (await get_tenant(tx, other.scope)).privacy_url == ""
