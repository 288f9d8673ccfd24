"""The API as programs use it: keys, every operation, the other tenant, the wrong role."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar

from mailengine.core.paging import encode_cursor
from mailengine.core.scope import Scope
from mailengine.domain.accounts import api_keys
from mailengine.models import Role
from mailengine.runtime import Runtime
from support.house import NOW

pytestmark = pytest.mark.anyio
HTML = "<p>Hi {{ first_name }}</p><p>{{ postal_address }}</p><a href='{{ unsubscribe_url }}'>Leave</a>"


async def new_key(rt: Runtime, scope: Scope, role: Role) -> str:
    async with rt.db.write(scope) as tx:
        made = await api_keys.create(tx, scope, name=f"{role} key", role=role, now=rt.clock.now())
    return made.token


@pytest.fixture
async def api(client: httpx.AsyncClient, rt: Runtime, acme: Any) -> httpx.AsyncClient:
    """A client with an owner's key of `acme`."""
    client.headers["Authorization"] = f"Bearer {await new_key(rt, acme.scope, Role.OWNER)}"
    return client


async def test_without_a_key_nothing_is_answered(client: Any, acme: Any):
    for headers in ({}, {"Authorization": "Bearer mek_wrong"}, {"Authorization": "Basic YTpi"}):
        answer = await client.get("/api/v1/contacts", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_contacts_from_birth_to_restoration(api: Any, rt: Runtime, acme: Any):
    body = {
        "email": "Bob@Example.org",
        "first_name": "Bob",
        "attributes": {"city": "Köln"},
        "list": "acme customers",
    }
    made = await api.post("/api/v1/contacts", json=body)
    assert made.status_code == 201, made.text
    contact = made.json()
    assert (contact["email"], contact["state"], contact["attributes"]) == (
        "Bob@example.org",
        "subscribed",
        {"city": "Köln"},
    )
    url = f"/api/v1/contacts/{contact['id']}"
    assert (await api.get(url)).json() == contact
    assert (contact["lists"], contact["tags"]) == ({"acme customers": "subscribed"}, [])
    for given, total in (({}, 1), ({"search": "öln"}, 0), ({"list": "acme customers"}, 1)):
        found = await api.get("/api/v1/contacts", params={"attribute": "city", "search": "Kö", **given})
        assert found.json()["total"] == total, given
    for wrong in ({}, {"search": " "}, {"search": "x", "attribute": "' OR 1=1"}):
        assert (await api.get("/api/v1/contacts", params={"attribute": "city", **wrong})).status_code == 400
    changed = await api.patch(url, json={"last_name": "Lee", "attributes": {"city": None, "age": "7"}})
    assert (changed.json()["last_name"], changed.json()["first_name"]) == ("Lee", "Bob")
    assert changed.json()["attributes"] == {"age": "7"}
    again = await api.post("/api/v1/contacts", json=body)
    assert again.status_code == 409
    page = (await api.get("/api/v1/contacts", params={"list": "acme customers", "limit": 1})).json()
    assert (page["total"], len(page["items"])) == (2, 1)
    for without, left_out in (([], {}), (["acme customers"], {"excluded": 2})):
        asked = {"text": "everyone", "exclude_lists": without}
        told = (await api.post("/api/v1/segments/count", json=asked)).json()
        assert (told["people"], told["left_out"]) == (2, left_out)
    rest = (await api.get("/api/v1/contacts", params={"limit": 1, "cursor": page["next"]})).json()
    assert [item["email"] for item in rest["items"]] == ["Bob@example.org"]
    await api.post("/api/v1/contacts", json={"email": "cy@example.org"})
    for name, whom in (("VIP", [contact["id"], acme.contact_id]), ("Big", [contact["id"]])):
        tag = (await api.post("/api/v1/tags", json={"name": name})).json()
        await api.post(f"/api/v1/tags/{tag['id']}/contacts", json={"contact_ids": whom})
    asked: list[str] = []
    sa.event.listen(rt.db.reader.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    everybody = (await api.get("/api/v1/contacts")).json()["items"]
    on_it = {"acme customers": "subscribed"}
    assert [(each["lists"], each["tags"]) for each in everybody] == [
        (on_it, ["VIP"]), (on_it, ["Big", "VIP"]), ({}, []),
    ]  # fmt: skip
    for links in ("contact_tags", "list_members"):
        assert len([told for told in asked if links in told]) == 1, "one query a page"
    found = await api.get("/api/v1/contacts", params={"search": "bob"})
    assert found.json()["total"] == 1
    assert (await api.delete(url)).status_code == 204
    assert (await api.get(url)).status_code == 404
    assert (await api.get("/api/v1/contacts", params={"deleted": "true"})).json()["total"] == 1
    assert (await api.post(f"{url}/restore")).status_code == 200
    assert (await api.get(url)).status_code == 200


async def test_what_a_person_told_somebody_about_mail(client: Any, rt: Runtime, acme: Any, key: Any) -> None:
    url, editor = f"/api/v1/contacts/{acme.contact_id}", await key(acme.scope, Role.EDITOR)
    for act, state in (("unsubscribe", "unsubscribed"), ("resubscribe", "subscribed")):
        for _ in range(2):
            told = await client.post(f"{url}/{act}", headers=editor)
            assert (told.status_code, told.json()["state"]) == (200, state), told.text
    acts = (await client.get(f"{url}/consents", headers=editor)).json()
    assert [(act["act"], act["source"]) for act in acts][-2:] == [
        ("withdrawn", "api"), ("given", "resubscribed: api")
    ]  # fmt: skip
    viewer = await key(acme.scope, Role.VIEWER)
    assert (await client.post(f"{url}/unsubscribe", headers=viewer)).status_code == 403
    assert (await client.delete(url, headers=editor)).status_code == 204
    assert (await client.post(f"{url}/resubscribe", headers=editor)).status_code == 404


async def test_a_draft_becomes_a_report(api: Any, acme: Any):
    made = await api.post("/api/v1/templates", json={"name": "News", "html": HTML + "<script>x</script>"})
    assert made.status_code == 201, made.text
    assert made.json()["removed"]
    template = f"/api/v1/templates/{made.json()['id']}"
    assert "<script" not in (await api.get(template)).json()["html"]
    assert (await api.patch(template, json={"html": HTML, "category": "a"})).json()["version"] == 2
    seen = await api.post(
        f"{template}/preview", json={"contact": "ann@acme.test", "subject": "Hi {{ first_name }}"}
    )
    assert seen.json()["subject"] == "Hi Ann <b>", seen.text
    assert "Hi Ann &lt;b&gt;" in seen.json()["html"]
    draft = {**DRAFT, "name": "May", "template": "News", "sender": "A <a@acme.test>"}
    campaign = await api.post("/api/v1/campaigns", json=draft)
    assert campaign.status_code == 201, campaign.text
    url = f"/api/v1/campaigns/{campaign.json()['id']}"
    assert (await api.patch(url, json={"subject": "June"})).json()["subject"] == "June"
    checklist = (await api.get(f"{url}/checklist")).json()
    assert checklist["sendable"] is False
    refused = await api.post(f"{url}/send")
    assert refused.status_code == 422
    assert any("SMTP server" in reason for reason in refused.json()["reasons"])
    assert (await api.post(f"{url}/pause")).status_code == 409
    assert (await api.delete(template)).status_code == 409
    report = (await api.get(f"/api/v1/campaigns/{acme.campaign_id}/report")).json()
    assert report["held"] == []
    assert (report["total"], report["sent"], report["opens"]) == (1, 1, {"total": 0, "unique": 0})
    assert (await api.delete(url)).status_code == 204
    assert (await api.get(url)).status_code == 404


OPERATIONS = [
    ("GET", "/contacts/{contact_id}", None),
    ("PATCH", "/contacts/{contact_id}", {"first_name": "X"}),
    ("DELETE", "/contacts/{contact_id}", None),
    ("POST", "/contacts/{contact_id}/restore", None),
    ("GET", "/contacts/{contact_id}/timeline", None),
    ("GET", "/contacts/{contact_id}/consents", None),
    ("POST", "/contacts/{contact_id}/reactivate", {"decision": "keep"}),
    ("POST", "/contacts/{contact_id}/unsubscribe", None),
    ("POST", "/contacts/{contact_id}/resubscribe", None),
    ("GET", "/templates/{template_id}", None),
    ("PATCH", "/templates/{template_id}", {"name": "X"}),
    ("PATCH", "/templates/{template_id}", {"html": "<p>X</p>"}),
    ("DELETE", "/templates/{template_id}", None),
    ("POST", "/templates/{template_id}/preview", {"contact": "ann@acme.test"}),
    ("GET", "/campaigns/{campaign_id}", None),
    ("PATCH", "/campaigns/{campaign_id}", {"name": "X"}),
    ("DELETE", "/campaigns/{campaign_id}", None),
    ("GET", "/campaigns/{campaign_id}/checklist", None),
    ("POST", "/campaigns/{campaign_id}/send", None),
    ("POST", "/campaigns/{campaign_id}/schedule", {"at": f"{NOW.year + 1}-06-01T10:00"}),
    ("POST", "/campaigns/{campaign_id}/unschedule", None),
    ("POST", "/campaigns/{campaign_id}/pause", None),
    ("POST", "/campaigns/{campaign_id}/resume", None),
    ("POST", "/campaigns/{campaign_id}/cancel", None),
    ("GET", "/campaigns/{campaign_id}/report", None),
]
DRAFT = {
    "name": "X",
    "template": "acme letter",
    "lists": ["acme customers"],
    "subject": "S",
    "sender": "a@b.test",
}
CREATIONS = [
    ("/contacts", {"email": "a@b.test", "list": "other customers"}),
    ("/campaigns", {**DRAFT, "template": "other letter"}),
    ("/campaigns", {**DRAFT, "lists": ["other customers"]}),
]


async def test_the_other_tenants_rows_do_not_exist(api: Any, acme: Any, other: Any):
    for method, path, body in OPERATIONS:
        url = "/api/v1" + path.format(
            contact_id=other.contact_id, template_id=other.template_id, campaign_id=other.campaign_id
        )
        answer = await api.request(method, url, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
        assert "other" not in answer.json()["detail"].replace("another", "")
    for path, body in CREATIONS:
        assert (await api.post("/api/v1" + path, json=body)).status_code == 404, path
    for path in ("/contacts", "/lists", "/templates", "/campaigns"):
        page = (await api.get("/api/v1" + path)).json()
        assert page["total"] == 1
        assert "other" not in str(page["items"])
    found = await api.get("/api/v1/contacts", params={"search": "other.test"})
    assert found.json()["total"] == 0
    assert (await api.get("/api/v1/contacts", params={"list": "other customers"})).status_code == 404
    for named in ("lists", "exclude_lists"):
        asked = {"text": "everyone", named: ["other customers"]}
        assert (await api.post("/api/v1/segments/count", json=asked)).status_code == 404


async def test_every_operation_is_in_the_test_above(app: Litestar):
    """Those of this module's nouns; the others have tests of their own."""
    schema = app.openapi_schema.to_schema()
    documented = {
        (method.upper(), path)
        for path, item in schema["paths"].items()
        for method in item
        if "{" in path and path.split("/")[3] in {"contacts", "templates", "campaigns"}
    }
    tested = {(method, "/api/v1" + path) for method, path, _ in OPERATIONS}
    assert documented == tested


async def test_every_noun_of_the_api_is_in_its_docs(app: Litestar):
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    nouns = {path.split("/")[3] for path in app.openapi_schema.to_schema()["paths"]}
    assert nouns
    assert [noun for noun in sorted(nouns) if f"`{noun}`" not in page] == []


async def test_a_viewers_key_reads_and_changes_nothing(client: Any, rt: Runtime, acme: Any):
    client.headers["Authorization"] = f"Bearer {await new_key(rt, acme.scope, Role.VIEWER)}"
    changing = [(method, path, body) for method, path, body in OPERATIONS if method != "GET"]
    changing += [("POST", "/lists", {"name": "X"}), ("POST", "/templates", {"name": "X", "html": HTML})]
    changing += [("POST", "/contacts", {"email": "a@b.test"})]
    changing += [("POST", "/campaigns", DRAFT)]
    for method, path, body in changing:
        url = "/api/v1" + path.format(
            contact_id=acme.contact_id, template_id=acme.template_id, campaign_id=acme.campaign_id
        )
        answer = await client.request(method, url, json=body)
        if path.endswith("/preview"):
            assert answer.status_code == 200
        else:
            assert answer.status_code == 403, (method, path, answer.text)
    assert (await client.get("/api/v1/contacts")).json()["total"] == 1


async def test_a_revoked_key_is_refused_at_once(api: Any, rt: Runtime, acme: Any):
    assert (await api.get("/api/v1/lists")).status_code == 200
    async with rt.db.write(acme.scope) as tx:
        await api_keys.revoke(tx, acme.scope, name=f"{Role.OWNER} key", now=rt.clock.now())
    assert (await api.get("/api/v1/lists")).status_code == 401


BAD_BODIES = [
    (b"{", 400),
    (b"[]", 400),
    (b'{"email": 5}', 400),
    (b'{"email": "a@b.test", "admin": true}', 400),
    (b'{"email": "a\\u0000@b.test"}', 400),
    (b'{"email": "\\ud800@b.test"}', 400),
    (b'{"email": "no address"}', 400),
    (b'{"email": "a@b.test", "first_name": "' + b"x" * 300 + b'"}', 400),
    (b'{"email": "' + b"x" * 2_100_000 + b'"}', 413),
]


async def test_bodies_that_cannot_be_used(api: Any):
    for content, status in BAD_BODIES:
        headers = {"Content-Type": "application/json"}
        answer = await api.post("/api/v1/contacts", content=content, headers=headers)
        assert answer.status_code == status, (content[:80], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_header_cannot_be_added_through_a_campaign(api: Any, acme: Any):
    draft = {**DRAFT, "name": "M"}
    for field, value in (("subject", "a\r\nBcc: x@y.test"), ("sender", "A\r\nBcc: x <a@b.test>")):
        answer = await api.post("/api/v1/campaigns", json={**draft, field: value})
        assert answer.status_code == 400 or "\n" not in str(answer.json()), answer.text


async def test_the_session_needs_the_csrf_header(client: Any, rt: Runtime, acme: Any):
    page = await client.get("/login")
    token = page.text.split('name="_csrf_token" value="')[1].split('"')[0]
    await client.post(
        "/login", data={"email": "owner@acme.test", "password": "correct horse battery", "_csrf_token": token}
    )
    csrf = (await client.get("/campaigns")).text.split('name="_csrf_token" value="')[1].split('"')[0]
    assert (await client.get("/api/v1/lists")).status_code == 200
    for headers in ({}, {"x-csrftoken": "wrong"}):
        answer = await client.post("/api/v1/lists", json={"name": "X"}, headers=headers)
        assert answer.status_code == 403
    assert (
        await client.post("/api/v1/lists", json={"name": "X"}, headers={"x-csrftoken": csrf})
    ).status_code == 201


async def test_the_document_and_its_page(client: Any):
    document = (await client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    problem = document["paths"]["/api/v1/contacts/{contact_id}"]["get"]["responses"]["404"]["content"]
    assert list(problem) == ["application/problem+json"]
    page = await client.get("/api/docs")
    assert page.status_code == 200
    for path in document["paths"]:
        assert path in page.text
    assert "http" not in page.text.replace("http-equiv", "").split("<main")[1]


async def test_a_made_up_cursor_is_refused_or_leads_to_a_page(api: Any, acme: Any):
    keys: list[Any] = [["a"], [10**30], [None], [{}], [1, 2], [1.5], [True], "x", [-1]]
    for key in keys:
        for path in ("/contacts", "/lists", "/templates", "/campaigns"):
            answer = await api.get("/api/v1" + path, params={"cursor": encode_cursor(key)})
            assert answer.status_code in (200, 400), (path, key, answer.text)


async def test_ids_beyond_every_sequence_are_refused(api: Any, acme: Any):
    for number in ("0", "-1", "99999999999999999999", "1e3", "x"):
        assert (await api.get(f"/api/v1/contacts/{number}")).status_code in (400, 404)
