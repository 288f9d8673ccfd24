"""The pages of imports: a file is given, looked at, tried, imported by the daemon and taken back."""

import io
import re
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.paging import PageRequest
from mailengine.daemon.job_runs import JobRuns
from mailengine.domain.contacts.imports import mappings, uploads
from mailengine.models import Contact, Membership
from mailengine.runtime import Runtime
from support.browsing import log_in, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
FILE = "email;Vorname;city;score\nbo@example.org;Bo;Köln;7\nnobody;;;\nann@acme.test;Änn;Bonn;8\n"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the pages show does not depend on the database; the imports' own tests run on both."""
    return sqlite_dsn


@pytest.fixture
def work(rt: Runtime) -> Callable[[], Awaitable[None]]:
    """What the daemon does until nothing is left."""

    async def until_done() -> None:
        runs = JobRuns(rt)
        while await runs.turn():
            pass

    return until_done


@pytest.fixture
async def csrf(client: httpx.AsyncClient, acme: Any) -> dict[str, str]:
    await log_in(client, acme.email)
    return {"x-csrftoken": await token_on(client, "/imports")}


async def sent(client: httpx.AsyncClient, csrf: dict[str, str], content: bytes | str = FILE) -> str:
    """The page of a file that was sent as the script sends it."""
    body = content.encode("cp1252") if isinstance(content, str) else content
    answer = await client.post("/imports/files?name=people.csv", content=body, headers=csrf)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def typed(page: str, **changes: Any) -> dict[str, Any]:
    """The form as it stands on the page."""
    rows = re.findall(r'<select class="select touch:min-h-11" name="choice".*?</select>', page, re.S)
    choices = [found[1] for row in rows if (found := re.search(r'value="([^"]+)" selected', row))]
    return {
        "header": re.findall(r'name="header" value="([^"]*)"', page),
        "choice": choices,
        "attribute": re.findall(r'name="attribute" value="([^"]*)"', page),
        "kind": [""] * len(choices),
        "list": "Fair",
        "on_duplicate": "update",
        **changes,
    }


async def test_a_file_is_looked_at_tried_imported_and_taken_back(
    client: Any, csrf: Any, work: Any, rt: Runtime, acme: Any
):
    here = await sent(client, csrf)
    page = (await client.get(here)).text
    assert "Windows-1252" in page
    assert "columns separated by semicolon" in page
    form = typed(page, choice=["email", "first_name", "attribute", "attribute"], tags="fair, vip")
    assert typed(page)["choice"] == form["choice"]
    assert form["attribute"][2:] == ["city", "score"]
    tried = await client.post(here, data={**form, "act": "check"}, headers=csrf)
    assert tried.status_code == 200
    assert "What would happen" in tried.text
    assert re.search(r"New</dt>\s*<dd[^>]*>1</dd>", tried.text)
    assert re.search(r"Rejected</dt>\s*<dd[^>]*>1</dd>", tried.text)
    assert "Line 3:" in tried.text
    assert 'value="Fair"' in tried.text, "what was typed is still there"
    begun = await client.post(here, data={**form, "act": "start", "save_as": "monthly/2026"}, headers=csrf)
    assert begun.status_code == 303, begun.text
    run = begun.headers["location"]
    waiting = (await client.get(run)).text
    assert ("Waiting for the daemon" in waiting, f"{run}/resume" in waiting) == (True, False)
    await client.post(f"{run}/cancel", headers=csrf)
    assert f'action="{run}/resume"' in (await client.get(run)).text
    assert (await client.post(f"{run}/resume", headers=csrf)).status_code == 303
    await work()
    done = (await client.get(run)).text
    assert f'action="{run}/resume"' not in done
    assert "people.csv into Fair" in done
    assert "See the contacts" in done
    rejected = await client.get(f"{run}/errors")
    assert "nobody" in rejected.text
    assert "attachment" in rejected.headers["content-disposition"]
    contacts = (await client.get("/contacts?q=bo@")).text
    assert "fair" in contacts
    assert "people.csv into Fair" in (await client.get("/imports?q=fair")).text
    assert "No import found" in (await client.get("/imports?q=nothing")).text
    back = await client.post(f"{run}/undo", headers=csrf)
    assert back.status_code == 303
    await work()
    taken = (await client.get(run)).text
    assert "Taking it back" in taken
    assert "Take it back" not in taken
    assert "bo@example.org" not in (await client.get("/contacts")).text
    again = await client.post(f"{run}/undo", headers=csrf)
    assert again.status_code == 409
    saved = await client.get(await sent(client, csrf) + "&saved=monthly/2026")
    assert 'value="monthly/2026"' in saved.text
    unknown = await client.post("/imports/mappings/delete", data={"name": "other"}, headers=csrf)
    assert unknown.status_code == 404
    gone = await client.post("/imports/mappings/delete", data={"name": "monthly/2026"}, headers=csrf)
    assert gone.status_code == 303
    async with rt.db.read(acme.scope) as tx:
        assert (await mappings.list_mappings(tx, acme.scope, page=PageRequest())).total == 0


async def test_what_was_taken_back_is_not_gone_on_with(client: Any, csrf: Any, work: Any):
    here = await sent(client, csrf)
    form = typed((await client.get(here)).text, act="start")
    run = (await client.post(here, data=form, headers=csrf)).headers["location"]
    for step in ("cancel", "undo"):
        assert (await client.post(f"{run}/{step}", headers=csrf)).status_code == 303
    await work()
    assert f'action="{run}/resume"' not in (await client.get(run)).text
    refused = await client.post(f"{run}/resume", headers=csrf)
    assert (refused.status_code, "was taken back" in refused.text) == (409, True)


async def test_what_is_wrong_is_said_where_it_is(client: Any, csrf: Any, rt: Runtime):
    here = await sent(client, csrf)
    page = (await client.get(here)).text
    right = typed(page, act="start")
    for changes, words in [
        ({"choice": ["ignore", "first_name", "attribute", "attribute"]}, "say which column holds"),
        ({"choice": ["email", "email", "attribute", "attribute"]}, "two columns cannot both be"),
        ({"attribute": ["", "", "", "score"]}, "say what the attribute of the column"),
        ({"attribute": ["", "", "Not A Name", "score"]}, "cannot name an attribute"),
        ({"kind": ["", "", "colour", ""]}, "is no kind of attribute"),
        ({"list": "  "}, "a list&#39;s name must have"),
        ({"tags": "x" * 101}, "a tag must have"),
        ({"save_as": "x" * 201}, "a mapping&#39;s name must have"),
        ({"encoding": "klingon"}, "is not an encoding"),
    ]:
        answer = await client.post(here, data={**right, **changes}, headers=csrf)
        assert answer.status_code == 422, changes
        assert words.lower() in answer.text.lower(), (changes, answer.text)
        assert "people.csv" in answer.text
    semicolons = await client.post(here, data={**right, "delimiter": "pipe", "act": "read"}, headers=csrf)
    assert semicolons.status_code == 200
    assert "separated by pipe" in semicolons.text
    async with rt.db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(Contact)) == 1


async def test_files_that_are_none(client: Any, csrf: Any):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("people.csv", b"email\n" + b"a" * (64 << 20))
    for content, words in [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(2000), "is not a text file"),
        (b"%PDF-1.7\n" + b"x" * 100, "is a PDF"),
        (bomb.getvalue(), "cannot be imported"),
        (b"PK\x03\x04 not really", "damaged"),
    ]:
        here = await sent(client, csrf, content)
        page = await client.get(here)
        assert page.status_code == 200
        assert words in page.text, page.text
        started = await client.post(here, data={"list": "x", "act": "start"}, headers=csrf)
        assert started.status_code == 422
    empty = await client.post("/imports/files?name=x", content=b"", headers=csrf)
    assert empty.status_code == 400
    # A file whose columns are no addresses can be looked at, so that somebody says which one holds them.
    page = await client.get(await sent(client, csrf, "name,place\nBo,Bonn\n"))
    assert "place" in page.text
    assert (await client.get("/imports/new?file=../../etc/passwd&name=x")).text.count("no such uploaded file")


async def test_without_a_script_the_file_comes_in_a_form(client: Any, csrf: Any):
    token = {"_csrf_token": csrf["x-csrftoken"]}
    answer = await client.post("/imports", data=token, files={"file": ("list.csv", FILE.encode())})
    assert answer.status_code == 303
    assert "list.csv" in (await client.get(answer.headers["location"])).text
    none = await client.post("/imports", data=token, files={"other": ("list.csv", b"x")})
    assert "Choose a file first" in (await client.get(none.headers["location"])).text
    assert (await client.post("/imports", files={"file": ("l.csv", b"x")})).status_code == 403


async def test_a_large_file_goes_to_the_disk_as_it_comes(
    client: Any, csrf: Any, rt: Runtime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(uploads, "MAX_BYTES", 3_000_000)
    waiting = rt.settings.data_dir / "imports" / "uploads"

    async def body(megabytes: int) -> Any:
        yield b"email\n"
        for _ in range(megabytes):
            yield b"someone@example.org\n" * 50_000

    good = await client.post("/imports/files?name=x", content=body(2), headers=csrf)
    assert good.status_code == 201, "more than a request may have elsewhere"
    refused = await client.post(
        "/imports/files?name=x", content=body(4), headers={**csrf, "hx-request": "true"}
    )
    assert refused.status_code == 422
    assert "split it" in refused.text
    assert len(list(waiting.glob("*/*"))) == 1, "what was refused is not kept"


async def test_who_waits_for_a_trial_waits_seconds(client: Any, csrf: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mailengine.web.uploads.REHEARSAL_SECONDS", 0.0)
    here = await sent(client, csrf, "email\n" + "".join(f"p{n}@example.org\n" for n in range(5000)))
    form = {"header": "email", "choice": "email", "attribute": "", "kind": "", "list": "x", "act": "check"}
    tried = await client.post(here, data=form, headers=csrf)
    assert "the rest was not tried" in tried.text


async def test_other_tenants_and_viewers(
    client: Any, csrf: Any, work: Any, rt: Runtime, acme: Any, other: Any
):
    here = await sent(client, csrf)
    begun = await client.post(
        here, data={**typed((await client.get(here)).text), "act": "start"}, headers=csrf
    )
    run = begun.headers["location"]
    waiting = await sent(client, csrf)
    await client.post("/logout", headers=csrf)
    await log_in(client, other.email)
    theirs = {"x-csrftoken": await token_on(client, "/imports")}
    assert "no such uploaded file" in (await client.get(waiting)).text
    for path in (run, f"{run}/errors", run.replace("/imports", "/events/imports")):
        answer = await client.get(path)
        assert answer.status_code == 404 or not answer.content, path
    for path in (f"{run}/cancel", f"{run}/resume", f"{run}/undo"):
        assert (await client.post(path, headers=theirs)).status_code == 404, path
    await client.post("/logout", headers=theirs)
    async with rt.db.write(INSTANCE) as tx:
        mine = col(Membership.tenant_id) == acme.scope.tenant_id
        await tx.execute(sa.update(Membership).where(mine).values(role="viewer"))
    await log_in(client, acme.email)
    viewer = {"x-csrftoken": await token_on(client, "/account")}
    assert "Drop a file" not in (await client.get("/imports")).text
    assert (await client.get(waiting)).status_code == 403
    assert (await client.get(f"{run}/errors")).status_code == 403
    for path in (
        "/imports/files?name=x",
        "/imports",
        waiting,
        f"{run}/cancel",
        f"{run}/resume",
        f"{run}/undo",
    ):
        assert (await client.post(path, headers=viewer)).status_code == 403, path
    await work()
    assert "people.csv into Fair" in (await client.get("/imports")).text
