"""Custom fields on their pages: found, made another kind by a job that can be cancelled; whose they are."""

import re
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.daemon.job_runs import JobRuns
from mailengine.domain.contacts.attributes import attribute_kinds, register
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.models import AttributeKind, Contact, Job, JobKind, JobState, Membership, Role
from mailengine.runtime import Runtime
from support.browsing import log_in, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
LABELS = re.compile(r'title="([^"]*)">\1</td>')


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
async def csrf(client: httpx.AsyncClient, rt: Runtime, acme: Any) -> dict[str, str]:
    """Two attributes, and a token of their owner."""
    async with rt.db.write(acme.scope) as tx:
        await register(tx, acme.scope, {"plan": "The plan", "age": "Age <years>"})
    await log_in(client, acme.email)
    return {"_csrf_token": await token_on(client, "/account")}


async def last_job(rt: Runtime) -> Job:
    async with rt.db.read(INSTANCE) as tx:
        found = await tx.scalar(
            sa.select(Job).where(col(Job.kind) == JobKind.RETYPE).order_by(col(Job.id).desc())
        )
    assert found is not None
    return found


async def test_attributes_are_found_by_name_label_and_kind(
    client: httpx.AsyncClient, rt: Runtime, other: Any, csrf: Any
) -> None:
    for query, left in (
        ("", ["Age &lt;years&gt;", "The plan"]), ("q=PLAN", ["The plan"]), ("q=age", ["Age &lt;years&gt;"]),
        ("kind=number", []), ("kind=text&q=years", ["Age &lt;years&gt;"]),
        ("kind=%00", ["Age &lt;years&gt;", "The plan"]),
    ):  # fmt: skip
        page = (await client.get(f"/attributes?{query}")).text
        assert LABELS.findall(page) == left, query
    await client.post("/logout", data=csrf)
    await log_in(client, other.email)
    assert "No attributes yet" in (await client.get("/attributes")).text
    assert (await client.get("/attributes/plan")).status_code == 404
    theirs = {"_csrf_token": await token_on(client, "/account")}
    assert (await client.post("/attributes/plan", data={"kind": "list", **theirs})).status_code == 404


async def test_an_attribute_becomes_another_kind(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, csrf: Any
) -> None:
    assert "Age &lt;years&gt;" in (await client.get("/attributes/age")).text
    for wrong in ({}, {"kind": "colour"}):
        refused = await client.post("/attributes/age", data={**wrong, **csrf})
        assert (refused.status_code, "Choose a kind." in refused.text) == (422, True)
    assert (await client.get("/attributes/nothing")).status_code == 404
    asked = await client.post("/attributes/age", data={"kind": "number", "drop": "1", **csrf})
    job = await last_job(rt)
    assert (asked.status_code, asked.headers["location"]) == (303, f"/jobs/{job.id}")
    assert job.result["drop"] is True
    again = await client.post("/attributes/age", data={"kind": "date", **csrf})
    assert (again.status_code, "changes age already" in again.text) == (422, True)
    page = (await client.get(f"/jobs/{job.id}")).text
    assert f'action="/jobs/{job.id}/cancel"' in page
    await client.post(f"/jobs/{job.id}/cancel", data=csrf)
    assert (await last_job(rt)).state == JobState.CANCELLED
    await client.post("/attributes/age", data={"kind": "number", **csrf})
    runs = JobRuns(rt)
    while await runs.turn():
        pass
    assert (await last_job(rt)).state == JobState.DONE
    async with rt.db.read(acme.scope) as tx:
        assert (await attribute_kinds(tx, acme.scope))["age"] is AttributeKind.NUMBER


async def test_an_attribute_gets_another_name_and_goes(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, csrf: Any
) -> None:
    one = col(Contact.id) == acme.contact_id
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Contact).where(one).values(attributes={"plan": "pro", "age": 7}))
    async with rt.db.write(acme.scope) as tx:
        await saved.add(tx, acme.scope, name="Old <b>", rule=parse("age = 7"), now=rt.clock.now())
    used = (await client.get("/attributes/age")).text
    assert ("The segment Old &lt;b&gt;" in used, "/attributes/age/holders" in used) == (True, False)
    for act in ("rename", "delete"):
        refused = await client.post(f"/attributes/age/{act}", data={"new_name": "years", **csrf})
        assert refused.status_code in (409, 422), refused.text
        assert "is used by the segment Old &lt;b&gt;" in refused.text
    assert "1 contact loses its value." in (await client.get("/attributes/plan/holders")).text
    for wrong, words in (
        ("", "Write a name."),
        ("Größe", "cannot name an attribute"),
        ("plan", "called so already"),
    ):
        page = await client.post("/attributes/plan/rename", data={"new_name": wrong, **csrf})
        assert (page.status_code, words in page.text) == (422, True), page.text[:300]
    runs = JobRuns(rt)
    for act, left in (("rename", {"tariff": "pro", "age": 7}), ("delete", {"age": 7})):
        name = "plan" if act == "rename" else "tariff"
        asked = await client.post(f"/attributes/{name}/{act}", data={"new_name": "tariff", **csrf})
        assert asked.status_code == 303
        while await runs.turn():
            pass
        page = (await client.get(asked.headers["location"])).text
        assert ("Another name for an attribute" if act == "rename" else "Removing an attribute") in page
        async with rt.db.read(INSTANCE) as tx:
            assert await tx.scalar(sa.select(col(Contact.attributes)).where(one)) == left
    await client.post("/logout", data=csrf)
    await log_in(client, other.email)
    theirs = {"_csrf_token": await token_on(client, "/account"), "new_name": "x"}
    for act in ("rename", "delete"):
        assert (await client.post(f"/attributes/age/{act}", data=theirs)).status_code == 404


async def test_a_viewer_reads_only(client: httpx.AsyncClient, rt: Runtime, acme: Any, csrf: Any) -> None:
    async with rt.db.write(INSTANCE) as tx:
        mine = col(Membership.tenant_id) == acme.scope.tenant_id
        await tx.execute(sa.update(Membership).where(mine).values(role=Role.VIEWER))
    page = (await client.get("/attributes")).text
    assert ("The plan" in page, ">Change<" in page) == (True, False)
    assert (await client.get("/attributes/plan")).status_code == 403
    assert (await client.post("/attributes/plan", data={"kind": "list", **csrf})).status_code == 403
