"""Files over the API: uploaded, looked at, imported by the daemon, taken back, exported; and who may do what."""

import csv
import io
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from mailengine.core.clock import ManualClock
from mailengine.daemon.cleaning import forget_files
from mailengine.daemon.job_runs import JobRuns
from mailengine.domain.contacts import suppression
from mailengine.domain.contacts.suppression import Target, erased_hash
from mailengine.models import Role, SuppressionKind
from mailengine.runtime import Runtime

pytestmark = pytest.mark.anyio
FILE = "email,first name,city,tags\n+new@example.org,Ann,Bonn,vip\nbob@example.org,Bob,Köln,\nnobody,,,\n"


@pytest.fixture
async def api(client: httpx.AsyncClient, acme: Any, key: Any) -> httpx.AsyncClient:
    client.headers.update(await key(acme.scope, Role.OWNER))
    return client


@pytest.fixture
def work(rt: Runtime) -> Callable[[], Awaitable[None]]:
    """What the daemon does until nothing is left."""

    async def until_done() -> None:
        runs = JobRuns(rt)
        while await runs.turn():
            pass

    return until_done


async def upload(api: httpx.AsyncClient, content: str | bytes = FILE) -> str:
    content = content.encode() if isinstance(content, str) else content
    answer = await api.post("/api/v1/imports/files", content=content)
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(content)
    return str(answer.json()["file"])


async def test_from_the_upload_to_the_undo(
    api: Any, acme: Any, other: Any, key: Any, work: Any, rt: Runtime
) -> None:
    file = await upload(api)
    seen = await api.post("/api/v1/imports/preview", json={"file": file, "mapping": {"city": "town"}})
    assert [(each["header"], each["target"], each["kind"]) for each in seen.json()["columns"]] == [
        ("email", "email", None),
        ("first name", "first_name", None),
        ("city", "town", "text"),
        ("tags", "tags", None),
    ]
    assert len(seen.json()["rows"]) == 3
    tried = (await api.post("/api/v1/imports/dry-run", json={"file": file, "list": "New"})).json()
    assert (tried["whole"], tried["counts"]["created"], tried["errors"][0]["row"][0]) == (True, 2, "nobody")
    assert [(row["outcome"], row.get("state"), row.get("tags")) for row in tried["rows"]] == [
        ("created", "subscribed", ["vip"]),
        ("created", "subscribed", []),
        ("rejected", None, None),
    ]
    assert (await api.get("/api/v1/contacts?search=bob")).json()["total"] == 0
    saved = await api.put("/api/v1/imports/mappings/monthly", json={"mapping": {"city": "town"}})
    assert saved.status_code == 200, saved.text
    body = {"file": file, "name": "people.csv", "list": "New", "saved_mapping": "monthly", "tags": ["fair"]}
    started = await api.post("/api/v1/imports", json=body)
    assert (started.status_code, started.json()["state"]) == (202, "queued"), started.text
    url = f"/api/v1/imports/{started.json()['id']}"
    await work()
    done = (await api.get(url)).json()
    assert (done["state"], done["counts"]["created"], done["counts"]["rejected"], done["title"]) == (
        "done",
        2,
        1,
        "people.csv into New",
    )
    errors = await api.get(f"{url}/errors")
    assert errors.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(errors.text)))[1][1:3] == ["address: there is no @", "nobody"]

    theirs = await key(other.scope, Role.OWNER)
    for method, path in (("GET", url), ("GET", f"{url}/errors"), ("POST", f"{url}/cancel")):
        assert (await api.request(method, path, headers=theirs)).status_code == 404
    assert (await api.post(f"{url}/undo", json={}, headers=theirs)).status_code == 404
    for path in ("/imports/preview", "/imports/dry-run", "/suppressions/import"):
        assert (await api.post(f"/api/v1{path}", json={"file": file}, headers=theirs)).status_code == 404
    assert (await api.get("/api/v1/imports/mappings", headers=theirs)).json()["items"] == []

    would = await api.post(f"{url}/undo", json={"dry_run": True})
    assert (would.json()["job"], would.json()["counts"]["deleted"]) == (None, 2)
    assert (await api.post(f"{url}/undo", json={})).status_code == 202
    await work()
    again = await api.post(f"{url}/undo", json={})
    assert (again.status_code, "taken back already" in again.json()["detail"]) == (409, True)
    assert (await api.get("/api/v1/contacts?list=New")).json()["items"] == []


async def test_a_suppression_list_comes_as_a_file_and_goes_out_as_one(
    api: Any, acme: Any, other: Any, key: Any, work: Any
) -> None:
    file = await upload(api, f"value\nann@acme.test\n@blocked.test\nnobody\n'+x@example.org\n{'a' * 64}\n")
    viewer, theirs = await key(acme.scope, Role.VIEWER), await key(other.scope, Role.OWNER)
    body = {"file": file, "name": "old system.csv"}
    assert (await api.post("/api/v1/suppressions/import", json=body, headers=viewer)).status_code == 403
    started = await api.post("/api/v1/suppressions/import", json=body)
    assert (started.status_code, started.json()["kind"]) == (202, "suppression-list"), started.text
    await work()
    done = (await api.get(f"/api/v1/jobs/{started.json()['id']}")).json()
    assert (done["state"], done["title"], done["done"]) == ("done", "old system.csv", 5)
    assert (await api.post("/api/v1/suppressions/import", json=body)).status_code == 404, "it was taken"
    found = await api.get("/api/v1/suppressions/file")
    assert found.headers["content-type"].startswith("text/csv")
    rows = {(row["kind"], row["value"]) for row in csv.DictReader(io.StringIO(found.text))}
    assert rows == {("address", "ann@acme.test"), ("domain", "blocked.test"), ("address", "'+x@example.org")}
    assert (await api.get("/api/v1/suppressions/file", headers=theirs)).text.count("\n") == 1
    assert (await api.get(f"/api/v1/contacts/{acme.contact_id}")).json()["state"] == "suppressed"


async def test_no_byte_of_a_suppression_list_stops_it(api: Any, work: Any) -> None:
    rows = "".join(f"p{number}@x.test;Köln\n" for number in range(3_000))
    long = f"long@x.test;{'x' * 200_000}\n"
    file = await upload(api, f"E-Mail-Adresse;Ort\n{rows}{long}last@x.test;\n".encode("latin-1"))
    started = await api.post("/api/v1/suppressions/import", json={"file": file})
    await work()
    done = (await api.get(f"/api/v1/jobs/{started.json()['id']}")).json()
    assert (done["state"], done["done"]) == ("done", 3_002), done
    assert (await api.get("/api/v1/suppressions?search=last@x.test")).json()["total"] == 1


async def test_exports_expire(api: Any, acme: Any, other: Any, key: Any, work: Any, rt: Runtime) -> None:
    file = await upload(api)
    await api.post("/api/v1/imports", json={"file": file, "list": "New"})
    await work()
    started = await api.post("/api/v1/exports", json={"list": "New"})
    assert started.status_code == 202, started.text
    url = f"/api/v1/exports/{started.json()['id']}"
    assert (await api.get(f"{url}/file")).status_code == 409
    await work()
    assert (await api.get(url)).json()["done"] == 2
    found = await api.get(f"{url}/file")
    assert "attachment" in found.headers["content-disposition"]
    assert {row["email"] for row in csv.DictReader(io.StringIO(found.text))} == {
        "'+new@example.org",
        "bob@example.org",
    }
    theirs, viewer = await key(other.scope, Role.OWNER), await key(acme.scope, Role.VIEWER)
    assert (await api.get(f"{url}/file", headers=theirs)).status_code == 404
    assert (await api.get(url, headers=theirs)).status_code == 404
    assert (await api.get(f"{url}/file", headers=viewer)).status_code == 200
    assert (await api.post("/api/v1/exports", json={"where": "x ="}, headers=viewer)).status_code == 400
    assert (await api.post("/api/v1/exports", json={"where": "city ="})).status_code == 400
    left = list((rt.settings.data_dir / "exports").iterdir())
    assert len(left) == 1
    assert isinstance(rt.clock, ManualClock)
    rt.clock.advance(timedelta(days=31))
    async for _ in forget_files(rt, rt.clock.now()):
        pass
    assert not list((rt.settings.data_dir / "exports").iterdir())
    assert not [path for path in (rt.settings.data_dir / "imports" / "uploads").glob("*/*") if path.is_file()]


async def test_who_may_import(api: Any, acme: Any, key: Any) -> None:
    viewer, editor = await key(acme.scope, Role.VIEWER), await key(acme.scope, Role.EDITOR)
    file = await upload(api)
    body = {"file": file, "override_suppression": True}
    assert (await api.post("/api/v1/imports/files", content=b"email\n", headers=viewer)).status_code == 403
    assert (await api.post("/api/v1/imports", json={"file": file}, headers=viewer)).status_code == 403
    assert (await api.post("/api/v1/imports", json=body, headers=editor)).status_code == 403


async def test_wrong_files_and_names(api: Any, work: Any) -> None:
    assert (await api.post("/api/v1/imports/files", content=b"")).status_code == 400
    nameless = {"file": "0" * 32}
    assert (await api.post("/api/v1/imports/preview", json=nameless)).status_code == 404
    assert (
        await api.post("/api/v1/imports/preview", json={"file": "../../../../etc/passwd"})
    ).status_code == 400
    file = await upload(api, "name\nAnn\n")
    wrong = await api.post("/api/v1/imports/preview", json={"file": file})
    assert (wrong.status_code, "no column holds e-mail addresses" in wrong.json()["detail"]) == (400, True)
    started = await api.post("/api/v1/imports", json={"file": file, "list": "New"})
    await work()
    failed = (await api.get(f"/api/v1/imports/{started.json()['id']}")).json()
    assert (failed["state"], "no column holds e-mail addresses" in failed["error"]) == ("failed", True)
    assert "/uploads/" not in failed["error"]
    bad = await api.put("/api/v1/imports/mappings/x", json={"mapping": {"a": "score:colour"}})
    assert (bad.status_code, "no kind of attribute" in bad.json()["detail"]) == (400, True)


async def test_who_was_erased_is_not_brought_back(api: Any, acme: Any, work: Any, rt: Runtime) -> None:
    hash_key = rt.keyring.derive_for_ever(suppression.HASH_PURPOSE)
    gone = Target(SuppressionKind.HASH, erased_hash(hash_key, "bob@example.org"))
    async with rt.db.write(acme.scope) as tx:
        await suppression.suppress_all(tx, acme.scope, [gone], reason="erased", now=rt.clock.now())
    started = await api.post("/api/v1/imports", json={"file": await upload(api)})
    await work()
    url = f"/api/v1/imports/{started.json()['id']}"
    assert (await api.get(url)).json()["counts"]["created"] == 1
    errors = (await api.get(f"{url}/errors")).text
    assert ("asked to be forgotten" in errors, "bob@" in errors) == (True, False)


async def test_an_import_that_was_cancelled_is_gone_on_with(
    api: Any, acme: Any, other: Any, key: Any, work: Any, rt: Runtime
) -> None:
    viewer, theirs = await key(acme.scope, Role.VIEWER), await key(other.scope, Role.OWNER)
    rows = 11_000  # one more than are under way at once
    lines = "".join(f"p{n}@example.org\n" for n in range(rows))
    started = await api.post("/api/v1/imports", json={"file": await upload(api, f"email\n{lines}")})
    url = f"/api/v1/imports/{started.json()['id']}"
    runs = JobRuns(rt)
    while (done := (await api.get(url)).json()["done"]) == 0:
        assert await runs.turn()
    await api.post(f"{url}/cancel")
    await work()
    stopped = (await api.get(url)).json()
    assert (stopped["state"], 0 < done <= stopped["counts"]["created"] < rows) == ("cancelled", True)
    assert (await api.post(f"{url}/resume", headers=viewer)).status_code == 403
    assert (await api.post(f"{url}/resume", headers=theirs)).status_code == 404
    again = await api.post(f"{url}/resume")
    assert (again.status_code, again.json()["state"]) == (202, "running"), again.text
    await work()
    ended = (await api.get(url)).json()
    assert (ended["state"], ended["counts"]["created"], ended["counts"]["duplicates"]) == ("done", rows, 0)
    over = await api.post(f"{url}/resume")
    assert over.status_code == 409, over.text
    gone = await api.post("/api/v1/imports", json={"file": await upload(api)})
    here = f"/api/v1/imports/{gone.json()['id']}"
    await api.post(f"{here}/cancel")
    for path in (rt.settings.data_dir / "imports" / "uploads").glob("*/*"):
        path.unlink()
    lost = await api.post(f"{here}/resume")
    assert (lost.status_code, "upload it anew" in lost.json()["detail"]) == (409, True)


async def test_five_imports_a_minute(api: Any) -> None:
    file = await upload(api)
    codes = [(await api.post("/api/v1/imports", json={"file": file})).status_code for _ in range(6)]
    assert codes == [202] * 5 + [429]
    limited = await api.post("/api/v1/imports", json={"file": file})
    assert int(limited.headers["retry-after"]) > 0
