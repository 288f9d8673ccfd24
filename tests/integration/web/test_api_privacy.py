"""What a person may ask of an organisation, over the API: another tenant's people are not there, who may not manage
may not ask, and no body breaks it."""

from typing import Any

import httpx
import pytest

from mailengine.core.scope import Scope
from mailengine.domain.accounts import api_keys
from mailengine.models import Role
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
ADDRESS = "zoe.quagga@example.org"
HOSTILE: tuple[Any, ...] = (
    {}, {"address": None}, {"address": 7}, {"address": ""}, {"address": "x" * 400}, {"address": "nobody"},
    {"address": "a\x00b@example.org"}, {"address": "' OR 1=1 --@example.org"}, {"address": ["a@example.org"]},
    {"address": ADDRESS, "more": 1}, [], "x",
)  # fmt: skip


async def key(rt: Runtime, scope: Scope, role: Role) -> dict[str, str]:
    async with rt.db.write(scope) as tx:
        made = await api_keys.create(tx, scope, name=f"{role} key", role=role, now=rt.clock.now())
    return {"Authorization": f"Bearer {made.token}"}


async def test_each_tenant_has_its_own_people(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any
) -> None:
    mine, theirs = await key(rt, acme.scope, Role.OWNER), await key(rt, other.scope, Role.OWNER)
    editor = await key(rt, acme.scope, Role.EDITOR)
    for headers in (mine, theirs):
        body = {"email": ADDRESS, "last_name": "Quagga"}
        assert (await client.post("/api/v1/contacts", json=body, headers=headers)).status_code == 201
    for path in ("/api/v1/privacy/person", "/api/v1/privacy/erase"):
        assert (await client.post(path, json={"address": ADDRESS})).status_code == 401
        assert (await client.post(path, json={"address": ADDRESS}, headers=editor)).status_code == 403
        for body in HOSTILE:
            answer = await client.post(path, json=body, headers=mine)
            assert answer.status_code in (400, 404, 422), (body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    held = await client.post("/api/v1/privacy/person", json={"address": ADDRESS}, headers=mine)
    assert [row["last_name"] for row in held.json()["held"]["contacts"]] == ["Quagga"]
    erased = await client.post("/api/v1/privacy/erase", json={"address": ADDRESS}, headers=mine)
    assert erased.status_code == 200, erased.text
    gone = await client.post("/api/v1/privacy/person", json={"address": ADDRESS}, headers=mine)
    assert "Quagga" not in gone.text
    for headers, total in ((mine, 0), (theirs, 1)):
        found = await client.get("/api/v1/contacts", params={"search": "quagga"}, headers=headers)
        assert found.json()["total"] == total
    again = await client.post("/api/v1/contacts", json={"email": ADDRESS}, headers=mine)
    assert again.status_code == 422, again.text


async def test_an_export_of_all_data_is_its_tenants(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any
) -> None:
    mine, theirs = await key(rt, acme.scope, Role.OWNER), await key(rt, other.scope, Role.OWNER)
    asked = await client.post("/api/v1/tenant-exports", headers=mine)
    assert asked.status_code == 202, asked.text
    path = f"/api/v1/tenant-exports/{asked.json()['job']}"
    assert (await client.get(path, headers=mine)).status_code == 200
    for where in (path, f"{path}/file"):
        assert (await client.get(where, headers=theirs)).status_code == 404
    assert (await client.get(f"{path}/file", headers=mine)).status_code in (404, 409)
    editor = await key(rt, acme.scope, Role.EDITOR)
    assert (await client.post("/api/v1/tenant-exports", headers=editor)).status_code == 403


async def test_the_log_is_narrowed_by_moments_of_any_zone(
    client: httpx.AsyncClient, rt: Runtime, acme: Any
) -> None:
    headers = await key(rt, acme.scope, Role.OWNER)
    for since, status, found in (
        ("0001-01-01T00:00:00", 200, True),
        ("9999-12-31T23:59:59Z", 200, False),
        ("9999-12-31T23:59:59-12:00", 400, False),
        ("0001-01-01T00:00:00+12:00", 400, False),
    ):
        answer = await client.get("/api/v1/audit", params={"since": since}, headers=headers)
        assert answer.status_code == status, answer.text
        assert bool(answer.json().get("items")) == found, answer.text
