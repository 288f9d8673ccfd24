"""The pages of templates and campaigns, walked without a browser; and who may not."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.domain.content.versions import compare
from mailengine.models import Campaign, Membership, Relay
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')
HTML = (
    "<html><body><p>Hello {{ first_name|default('you') }}</p><script>alert(1)</script>"
    "<p>{{ organisation }}, {{ postal_address }} <a href='{{ unsubscribe_url }}'>Leave</a></p></body></html>"
)


async def log_in(client: Any, slug: str = "acme") -> dict[str, str]:
    token = TOKEN.search((await client.get("/login")).text)
    assert token
    data = {"email": f"owner@{slug}.test", "password": PASSWORD, "_csrf_token": token[1]}
    assert (await client.post("/login", data=data)).status_code == 303
    found = TOKEN.search((await client.get("/")).text)
    assert found
    return {"_csrf_token": found[1]}


async def follow(client: Any, answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return str((await client.get(answer.headers["location"])).text)


async def test_a_template_is_made_saved_compared_restored_and_copied(client: Any, acme: Any):
    csrf = await log_in(client)
    wrong = await client.post("/templates/new", data={"name": "Spring", "html": "{{ first_name", **csrf})
    assert wrong.status_code == 422
    assert "{{ first_name" in wrong.text
    made = await client.post(
        "/templates/new", data={"name": "Spring", "category": "News", "html": HTML, **csrf}
    )
    here = made.headers["location"].removesuffix("/edit")
    page = await follow(client, made)
    assert "Saved as version 1; taken out:" in page
    for text, version in [("Hi", 2), ("Good morning", 3)]:
        data = {"name": "Spring", "category": "News", "html": HTML.replace("Hello", text), **csrf}
        assert f"Saved as version {version}" in await follow(
            client, await client.post(f"{here}/edit", data=data)
        )
    difference = (await client.get(f"{here}/versions/3")).text
    assert "Good morning" in difference
    assert 'class="added"' in difference
    assert "Restore version 1" in (await client.get(f"{here}/versions")).text
    assert "Version 1 is back, as version 4" in await follow(
        client, await client.post(f"{here}/versions/1", data=csrf)
    )
    seen = await client.get(f"{here}/preview")
    assert "Hello Ann" in seen.text
    assert "script" not in seen.text
    policy = seen.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "frame-ancestors 'self'" in policy
    typed = await client.post("/templates/preview", data={"html": HTML.replace("Hello", "Typed"), **csrf})
    assert "Typed Ann" in typed.text
    assert "<script" not in typed.text
    text = await client.post("/templates/text", data={"html": "<p>Hi <b>you</b></p><p>5 &lt; 6</p>", **csrf})
    assert text.text.strip() == "Hi you\n\n5 &lt; 6"
    half = await client.post("/templates/preview", data={"html": "{{ first_name", **csrf})
    assert half.status_code == 200
    assert "cannot be used" in half.text
    assert "Spring (copy)" in await follow(client, await client.post(f"{here}/duplicate", data=csrf))
    assert "Spring (copy)" in (await client.get("/templates?category=News&q=copy")).text
    assert "was deleted" in await follow(client, await client.post(f"{here}/delete", data=csrf))


def test_a_comparison_shows_what_was_added_and_taken_away() -> None:
    lines = compare("a\nb\nc", "a\nB\nc")
    assert [(line.kind, line.text) for line in lines if line.kind != "place"] == [
        ("same", "a"),
        ("removed", "b"),
        ("added", "B"),
        ("same", "c"),
    ]
    assert compare("a", "a") == []


async def test_a_campaign_is_made_step_by_step_checked_and_sent(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    async with rt.db.write(INSTANCE) as tx:
        tx.add(
            Relay(
                tenant_id=acme.scope.tenant_id, name="main", host="127.0.0.1", port=25, tls="none",
                created_at=rt.clock.now(),
            )
        )  # fmt: skip
    made = await client.post("/templates/new", data={"name": "Spring", "html": HTML, **csrf})
    assert made.status_code == 303
    typed = {"name": "Summer", "subject": "Hi", "template": "Spring", "from_name": 'A "B" <C>', **csrf}
    wrong = await client.post("/campaigns/new", data={**typed, "from_email": "nobody"})
    assert wrong.status_code == 422
    assert 'id="from_email-error"' in wrong.text
    made = await client.post("/campaigns/new", data={**typed, "from_email": "news@acme.test"})
    here = made.headers["location"].removesuffix("/audience")
    assert "acme customers" in await follow(client, made)
    nobody = await client.post(f"{here}/audience", data=csrf)
    assert "Choose at least one list or segment." in nobody.text
    chosen = await client.post(f"{here}/audience", data={"lists": str(acme.list_id), **csrf})
    assert "main" in await follow(client, chosen)
    review = await follow(client, await client.post(f"{here}/delivery", data={"track_clicks": "1", **csrf}))
    assert "A &#34;B&#34; &lt;C&gt; &lt;news@acme.test&gt;" in review
    assert "1 recipient" in review
    unread = await client.post(f"{here}/review", data=csrf)
    assert "accept" in unread.text  # the domain is not verified: a warning with a local relay
    sent = await client.post(f"{here}/review", data={"accepted": "1", **csrf})
    page = await follow(client, sent)
    assert "is on its way to 1 recipient" in page
    async with rt.db.read(INSTANCE) as tx:
        row = await tx.scalar(sa.select(Campaign).where(col(Campaign.name) == "Summer"))
    assert row is not None
    assert (row.state, row.track_opens, row.track_clicks) == ("sending", False, True)
    assert "is paused" in await follow(client, await client.post(f"{here}/pause", data=csrf))
    assert (await client.get(f"{here}/content")).status_code == 409
    assert "Summer (copy)" in await follow(client, await client.post(f"{here}/duplicate", data=csrf))
    assert "Summer (copy)" in (await client.get("/campaigns?state=draft&q=summer")).text


async def test_recipients_are_listed_by_outcome_and_as_a_file(client: Any, acme: Any):
    await log_in(client)
    here = f"/campaigns/{acme.campaign_id}"
    report = (await client.get(here)).text
    assert "acme &lt;script&gt;" in report
    assert f'href="{here}/recipients?outcome=sent"' in report
    assert "ann@acme.test" in (await client.get(f"{here}/recipients?outcome=sent&q=ann")).text
    assert "ann@acme.test" not in (await client.get(f"{here}/recipients?outcome=opened")).text
    file = await client.get(f"{here}/recipients.csv?outcome=sent")
    assert file.headers["content-type"].startswith("text/csv")
    assert file.text.splitlines()[1].startswith("ann@acme.test,sent,250 ok,")


async def test_other_tenants_and_viewers_change_nothing(client: Any, rt: Runtime, acme: Any, other: Any):
    csrf = await log_in(client)
    theirs, template = f"/campaigns/{other.campaign_id}", f"/templates/{other.template_id}"
    for path in (theirs, f"{theirs}/recipients", f"{theirs}/recipients.csv", f"{theirs}/review"):
        assert (await client.get(path)).status_code == 404, path
    for path in ("edit", "preview", "versions", "versions/1", "versions/1/preview"):
        assert (await client.get(f"{template}/{path}")).status_code == 404, path
    for path in (f"{theirs}/delete", f"{theirs}/duplicate", f"{template}/delete", f"{template}/duplicate"):
        assert (await client.post(path, data=csrf)).status_code == 404, path
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    assert "New campaign" not in (await client.get("/campaigns")).text
    mine = f"/templates/{acme.template_id}"
    for path in ("/campaigns/new", "/templates/new", f"{mine}/edit", f"{mine}/delete", f"{mine}/duplicate"):
        data = {
            "name": "x",
            "html": HTML,
            "template": "acme letter",
            "subject": "x",
            "from_email": "a@b.test",
        }
        assert (await client.post(path, data={**data, **csrf})).status_code == 403, path
