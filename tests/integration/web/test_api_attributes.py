"""Attributes over the API: listed, made another kind by the daemon; whose they are, and who may."""

from typing import Any

import httpx
import pytest

from mailengine.daemon.job_runs import JobRuns
from mailengine.models import Role
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
ATTRIBUTES = "/api/v1/attributes"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


async def test_an_attribute_becomes_another_kind(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    mine, theirs = await key(acme.scope, Role.EDITOR), await key(other.scope, Role.OWNER)
    for number, code in enumerate(("007", "x1")):
        body = {"email": f"{number}@example.org", "attributes": {"code": code, "city": "Bonn"}}
        assert (await client.post("/api/v1/contacts", json=body, headers=mine)).status_code == 201
    assert (await client.get(ATTRIBUTES, headers=mine)).json()["items"] == [
        {"name": "city", "label": "city", "kind": "text"},
        {"name": "code", "label": "code", "kind": "text"},
    ]
    assert (await client.get(ATTRIBUTES, headers=theirs)).json()["total"] == 0
    path, viewer = f"{ATTRIBUTES}/code/retype", await key(acme.scope, Role.VIEWER)
    for headers, body, status in (
        (theirs, {"kind": "list"}, 404), (viewer, {"kind": "list"}, 403), (None, {"kind": "list"}, 401),
        (mine, {}, 400), (mine, {"kind": "colour"}, 400), (mine, {"kind": "list", "name": "x"}, 400),
    ):  # fmt: skip
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == status, (body, answer.text)
    assert (
        await client.post(f"{ATTRIBUTES}/nothing/retype", json={"kind": "list"}, headers=mine)
    ).status_code == 404
    stopped = await retype(client, rt, path, {"kind": "number"}, mine)
    assert (stopped["state"], stopped["changed"]) == ("failed", 0)
    assert stopped["error"].startswith("1 value of code cannot be read as number")
    done = await retype(client, rt, path, {"kind": "number", "drop": True}, mine)
    assert (done["state"], done["changed"], done["kind"]) == ("done", 1, "retype")
    found = (await client.get("/api/v1/contacts", params={"search": "example.org"}, headers=mine)).json()[
        "items"
    ]
    assert sorted((row["email"], row["attributes"].get("code")) for row in found) == [
        ("0@example.org", 7), ("1@example.org", None)
    ]  # fmt: skip
    kinds = {row["name"]: row["kind"] for row in (await client.get(ATTRIBUTES, headers=mine)).json()["items"]}
    assert kinds == {"city": "text", "code": "number"}
    for headers, status in ((theirs, 404), (viewer, 403)):
        for answer in (
            await client.delete(f"{ATTRIBUTES}/code", headers=headers),
            await client.post(f"{ATTRIBUTES}/code/rename", json={"name": "kode"}, headers=headers),
        ):
            assert answer.status_code == status, answer.text
    taken = await client.post(f"{ATTRIBUTES}/code/rename", json={"name": "city"}, headers=mine)
    assert (taken.status_code, "city is a text" in taken.text) == (409, True)
    renamed = await client.post(f"{ATTRIBUTES}/code/rename", json={"name": "kode"}, headers=mine)
    assert (await ended(client, rt, renamed, mine))["changed"] == 1
    assert (await client.delete(f"{ATTRIBUTES}/code", headers=mine)).status_code == 404
    removed = await ended(client, rt, await client.delete(f"{ATTRIBUTES}/city", headers=mine), mine)
    assert (removed["kind"], removed["state"], removed["changed"]) == ("remove-attribute", "done", 2)
    assert [row["name"] for row in (await client.get(ATTRIBUTES, headers=mine)).json()["items"]] == ["kode"]


async def retype(client: httpx.AsyncClient, rt: Runtime, path: str, body: Any, headers: Any) -> Any:
    """Ask, and let the daemon do it; the job as it ended."""
    asked = await client.post(path, json=body, headers=headers)
    assert asked.status_code == 202, asked.text
    assert (await client.post(path, json=body, headers=headers)).status_code == 409, "one at a time"
    return await ended(client, rt, asked, headers)


async def ended(client: httpx.AsyncClient, rt: Runtime, asked: httpx.Response, headers: Any) -> Any:
    """The job that was asked for, once the daemon did it."""
    assert asked.status_code == 202, asked.text
    runs = JobRuns(rt)
    while await runs.turn():
        pass
    return (await client.get(f"/api/v1/jobs/{asked.json()['id']}", headers=headers)).json()
