"""The pages of contacts, lists and suppression: what a person does there, and what they may not."""

import csv
import io
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.daemon.job_runs import JobRuns
from mailengine.db.tenancy import tenant_of
from mailengine.domain.contacts import bulk
from mailengine.domain.contacts.search import find
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.show import show
from mailengine.models import Contact, Membership, MemberState, Role, Suppression
from mailengine.runtime import Runtime
from support.browsing import advance, token_on

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the pages do is tested on both databases in the domain."""
    return sqlite_dsn


PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


async def log_in(client: Any, slug: str = "acme") -> str:
    token = TOKEN.search((await client.get("/login")).text)
    assert token
    data = {"email": f"owner@{slug}.test", "password": PASSWORD, "_csrf_token": token[1]}
    assert (await client.post("/login", data=data)).status_code == 303
    found = TOKEN.search((await client.get("/contacts")).text)
    assert found
    return found[1]


async def test_a_contact_is_added_changed_tagged_left_deleted_and_restored(client: Any, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    typed = {"email": "Bo@Example.org", "first_name": "Bo", **csrf}
    refused = await client.post("/contacts/new", data=typed)
    assert refused.status_code == 422
    assert "Say how they agreed to be written to." in refused.text
    assert 'value="Bo@Example.org"' in refused.text
    assert refused.headers["hx-push-url"] == "false"
    made = await client.post("/contacts/new", data={**typed, "consent_source": "trade fair"})
    assert made.status_code == 303
    here = made.headers["location"]
    page = (await client.get(here)).text
    assert "Bo@example.org was added" in page
    assert "trade fair" in page
    assert "was added" not in (await client.get(here)).text, "a toast is said once"
    again = await client.post("/contacts/new", data={**typed, "consent_source": "x"})
    assert again.status_code == 422
    assert "There is already a contact" in again.text
    for path, data, words in [
        ("edit", {"first_name": "Bob", "last_name": "B"}, "The changes were saved"),
        ("tag", {"tag": "vip"}, "Tagged with vip"),
        ("unsubscribe", {}, "gets no more campaigns"),
        ("delete", {}, "was deleted"),
        ("restore", {}, "is back"),
    ]:
        answer = await client.post(f"{here}/{path}", data={**data, **csrf})
        assert answer.status_code == 303, path
        assert words in (await client.get(answer.headers["location"])).text
    page = (await client.get("/contacts?q=bob&state=unsubscribed&sort=address")).text
    assert "Bo@example.org" in page
    assert "vip" in page
    assert "ann@acme.test" not in page
    assert (await client.post(f"{here}/explode", data=csrf)).status_code == 404


async def test_rows_that_are_ticked_are_changed_together(client: Any, rt: Runtime, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    ids = {"ids": [str(acme.contact_id)]}
    for act, words in [("delete", "1 contact deleted"), ("restore", "1 contact restored")]:
        answer = await client.post("/contacts/bulk", data={**ids, "act": act, **csrf})
        assert words in (await client.get(answer.headers["location"])).text
    for act, fields, words in [
        ("tag", {"tag_name": "vip"}, "1 contact tagged with vip"),
        ("add-to-list", {"to_list": "acme customers"}, "0 contacts put on the list"),
        ("remove-from-list", {"to_list": "acme customers"}, "1 contact taken off the list"),
        ("untag", {"tag_name": "vip"}, "vip was taken off 1 contact"),
        ("unsubscribe", {}, "1 contact unsubscribed"),
    ]:
        answer = await client.post("/contacts/bulk", data={**ids, **fields, "act": act, **csrf})
        assert words in (await client.get(answer.headers["location"])).text, act
    for fields in ({"act": "tag"}, {"act": "add-to-list"}):
        assert (await client.post("/contacts/bulk", data={**ids, **fields, **csrf})).status_code == 400
    nothing = await client.post("/contacts/bulk", data={"act": "delete", **csrf})
    assert "Nothing was selected" in (await client.get(nothing.headers["location"])).text


async def test_pages_follow_each_other_and_lead_back(client: Any, rt: Runtime, acme: Any):
    rows = [
        {
            "tenant_id": int(acme.scope.tenant_id),
            "email": f"p{number:03}@x.test",
            "email_key": f"p{number:03}@x.test",
        }
        | {"created_at": rt.clock.now(), "updated_at": rt.clock.now()}
        for number in range(120)
    ]
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.insert(Contact), rows)
    await log_in(client)
    link = re.compile(r'href="(/contacts\?[^"]*cursor=[^"]*)"[^>]*>(?:<svg.*?</svg>)?(Next|Previous)')

    async def open_page(url: str) -> tuple[str, dict[str, str]]:
        text = (await client.get(url.replace("&amp;", "&"))).text
        return text, {word: found for found, word in link.findall(text)}

    first, links = await open_page("/contacts?q=x.test&sort=address")
    assert ("p000@" in first, "p050@" in first, set(links)) == (True, False, {"Next"})
    second, links = await open_page(links["Next"])
    assert ("p050@" in second, set(links)) == (True, {"Next", "Previous"})
    last, links = await open_page(links["Next"])
    assert ("p119@" in last, set(links)) == (True, {"Previous"})
    _, links = await open_page(links["Previous"])
    back, links = await open_page(links["Previous"])
    assert ("p000@" in back, set(links)) == (True, {"Next"})
    assert "120 contacts" in back


@pytest.fixture
def work(rt: Runtime) -> Callable[[], Awaitable[None]]:
    """What the daemon does until nothing is left."""

    async def until_done() -> None:
        runs = JobRuns(rt)
        while await runs.turn():
            pass

    return until_done


async def add_people(rt: Runtime, sent: Any, count: int) -> None:
    at = {"created_at": rt.clock.now(), "updated_at": rt.clock.now()}
    rows = [
        {
            "tenant_id": int(sent.scope.tenant_id),
            "email": f"p{number}@x.test",
            "email_key": f"p{number}@x.test",
        }
        | at
        for number in range(count)
    ]
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.insert(Contact), rows)


async def test_how_many_there_are_is_told_apart(client: Any, rt: Runtime, acme: Any, other: Any):
    await log_in(client)
    await add_people(rt, acme, 60)
    await add_people(rt, other, 3)
    for query, shown, counted in (
        ("", "50+", "61"), ("state=bounced", "", "0"), ("state=subscribed", "50+", "61"), ("deleted=1", "", "0"),
        ("q=x.test", "60", ""), (f"list={acme.list_id}", "1", ""), ("state=%27", "50+", "61"),
    ):  # fmt: skip
        page = (await client.get(f"/contacts?{query}")).text
        assert re.findall(r"([\d+]+)(?:</span>)? contacts?</span>", page) == ([shown] if shown else []), query
        asked = (await client.get(f"/contacts/counts?{query}")).text
        places = re.findall(r"data-total=([\w-]+)\][^>]*>([\d,+]+)<", asked)
        assert [number for _place, number in places] == ([counted] if counted else []), query
        assert all(f'data-total="{place}"' in page for place, _number in places) or not shown, query
        assert re.findall(r"figure-\d[^>]*>(\d+)<", asked) == ["61", "61", "0", "0"]
        assert page.count('hx-get="/contacts/counts') == 1, query


async def test_of_a_text_with_many_only_so_many_are_counted(
    client: Any, rt: Runtime, acme: Any, monkeypatch: pytest.MonkeyPatch
):
    await log_in(client)
    await add_people(rt, acme, 60)
    monkeypatch.setattr(find, "FEW", 55)
    assert re.search(r'data-total="([\w-]+)">50\+<', (await client.get("/contacts?q=x.test")).text)
    assert ">54+<" in (await client.get("/contacts/counts?q=x.test")).text


async def test_all_that_a_filter_matches(
    client: Any, rt: Runtime, acme: Any, other: Any, work: Any, monkeypatch: pytest.MonkeyPatch
):
    csrf = {"_csrf_token": await log_in(client)}
    await add_people(rt, acme, 60)
    await add_people(rt, other, 3)
    page = (await client.get("/contacts?q=x.test")).text
    assert "<span data-matching-count>60</span>" in page
    assert 'name="q" value="x.test"' in page
    everybody = {"all": "1", "q": "x.test", **csrf}
    answer = await client.post("/contacts/bulk", data={**everybody, "act": "tag", "tag_name": "x"})
    assert "60 contacts tagged with x" in (await client.get(answer.headers["location"])).text
    monkeypatch.setattr(bulk, "PAGE", 10)
    answer = await client.post("/contacts/bulk", data={**everybody, "act": "delete"})
    job = answer.headers["location"]
    assert job.startswith("/jobs/")
    begun = (await client.get(job)).text
    assert "60 contacts will be gone through" in begun
    assert "Waiting for the daemon" in begun
    assert "x.test" not in begun
    await add_people_late(rt, acme)
    await work()
    assert "60 contacts" in (await client.get(job)).text
    left = (await client.get("/contacts?q=x.test")).text
    assert "late@x.test" in left, "who came after the question is not meant"
    assert "1 contact<" in left.replace("\n", "")
    trash = (await client.get("/contacts/counts?deleted=1")).text
    assert re.search(r'data-total=[\w-]+\]" hx-swap="innerHTML">60<', trash)
    assert ">Erased<" in (await client.get("/contacts?deleted=1")).text
    answer = await client.post("/contacts/bulk", data={**csrf, "all": "1", "deleted": "1", "act": "restore"})
    await work()
    assert "61 contacts" in (await client.get("/contacts?q=x.test")).text
    refused = await client.post(
        "/contacts/bulk", data={**csrf, "all": "1", "deleted": "1", "act": "tag", "tag_name": "x"}
    )
    assert refused.status_code == 400
    async with rt.db.read(INSTANCE) as tx:
        theirs = await tx.scalars(sa.select(Contact).where(tenant_of(Contact) == other.scope.tenant_id))
        assert {row.deleted_at for row in theirs} == {None}


async def add_people_late(rt: Runtime, sent: Any) -> None:
    at = {"created_at": rt.clock.now(), "updated_at": rt.clock.now()}
    async with rt.db.write(INSTANCE) as tx:
        tx.add(
            Contact(tenant_id=int(sent.scope.tenant_id), email="late@x.test", email_key="late@x.test", **at)
        )


async def test_an_export_of_what_the_table_shows(client: Any, rt: Runtime, acme: Any, other: Any, work: Any):
    csrf = {"_csrf_token": await log_in(client)}
    await add_people(rt, acme, 3)
    for fields, addresses in [
        ({"all": "1", "q": "p1@", "format": "csv"}, {"p1@x.test"}),
        ({"all": "1", "format": "csv"}, {"p0@x.test", "p1@x.test", "p2@x.test", "ann@acme.test"}),
        ({"ids": [str(acme.contact_id), str(other.contact_id)], "format": "csv"}, {"ann@acme.test"}),
    ]:
        answer = await client.post("/contacts/export", data={**fields, **csrf})
        job = answer.headers["location"]
        assert "Download" not in (await client.get(job)).text
        await work()
        assert "Download" in (await client.get(job)).text
        file = await client.get(job.replace("/jobs", "/exports") + "/file")
        rows = list(csv.DictReader(io.StringIO(file.text)))
        assert {row["email"] for row in rows} == addresses
        assert "attachment" in file.headers["content-disposition"]
    lines = await client.post("/contacts/export", data={"all": "1", "format": "jsonl", **csrf})
    await work()
    file = await client.get(lines.headers["location"].replace("/jobs", "/exports") + "/file")
    assert len([json.loads(line) for line in file.text.splitlines()]) == 4
    nobody = await client.post("/contacts/export", data={"format": "csv", **csrf})
    assert "Nothing was selected" in (await client.get(nobody.headers["location"])).text
    await client.post("/logout", data=csrf)
    await log_in(client, "other")
    for path in (job, job.replace("/jobs", "/exports") + "/file"):
        assert (await client.get(path)).status_code == 404


async def test_what_happened_and_what_a_person_may_ask(client: Any, rt: Runtime, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    here = f"/contacts/{acme.contact_id}"
    for _ in range(25):
        await client.post(f"{here}/edit", data={"first_name": "Ann", **csrf})
    advance(rt, minutes=1)
    await client.post(f"{here}/unsubscribe", data=csrf)
    page = (await client.get(here)).text
    assert "What happened" in page
    assert "Withdrew their consent" in page
    assert "Was sent</span> acme &lt;script&gt;" in page
    older = re.search(rf'href="({here}\?before=[^"]+)"', page)
    assert older, "25 a page"
    last = (await client.get(older[1])).text
    assert "Newest" in last
    assert "Added</span>" in last
    data = await client.post(f"{here}/data", data=csrf)
    assert data.json()["held"]["contacts"][0]["email"] == "ann@acme.test"
    assert "attachment" in data.headers["content-disposition"]
    wrong = await client.post(f"{here}/erase", data={"address": "bo@acme.test", **csrf})
    assert wrong.status_code == 422
    assert "Type the address as it stands above" in wrong.text
    advance(rt, hours=1)
    unproved = await client.post(
        f"{here}/erase",
        data={"address": "ann@acme.test", **csrf},
        headers={"Referer": f"{client.base_url}{here}"},
    )
    assert unproved.headers["location"].startswith("/account/confirm")
    proved = await client.post("/account/confirm", data={"password": PASSWORD, "next": here, **csrf})
    assert proved.status_code == 303
    csrf = {"_csrf_token": await token_on(client, here)}
    gone = await client.post(f"{here}/erase", data={"address": "ANN@acme.test", **csrf})
    assert "was erased" in (await client.get(gone.headers["location"])).text
    assert (await client.get(here)).status_code == 404


async def test_tags_are_made_renamed_merged_and_deleted(
    client: Any, rt: Runtime, acme: Any, other: Any, key: Any
):
    csrf = {"_csrf_token": await log_in(client)}
    made = await client.post("/tags", data={"name": "vip <b>", **csrf})
    page = (await client.get(made.headers["location"])).text
    assert "vip &lt;b&gt;" in page
    again = await client.post("/tags", data={"name": "VIP <b>", **csrf})
    assert again.status_code == 422
    assert "already a tag" in again.text
    await client.post(
        "/contacts/bulk", data={"ids": str(acme.contact_id), "act": "tag", "tag_name": "old", **csrf}
    )
    change = re.compile(r'href="/tags/(\d+)"[^>]*aria-label="Change the tag ([^"]+)"')
    ids = dict(change.findall((await client.get("/tags")).text))
    by_name = {name: number for number, name in ids.items()}
    old = f"/tags/{by_name['old']}"
    numbers = re.compile(r'hx-target="#([^"]+)"[^>]*>([^<]*)<')
    counted = dict(numbers.findall((await client.get("/tags/counts")).text))
    assert counted == {f"carriers-{by_name['old']}": "1", f"carriers-{by_name['vip &lt;b&gt;']}": "0"}
    assert dict(numbers.findall((await client.get("/tags/counts?q=vip")).text)).popitem()[1] == "0"
    on_lists = numbers.findall((await client.get("/lists/counts?kind=single")).text)
    assert on_lists[0] == (f"subscribed-{acme.list_id}", "1")
    assert len(on_lists) == len(MemberState)  # of the tenant's one list, and of nobody else's
    assert "On 1 contact." in (await client.get(old)).text
    rule = parse('tag in (old, "vip <b>") or not tag = OLD')
    async with rt.db.write(acme.scope) as tx:
        await saved.add(tx, acme.scope, name="olds", rule=rule, now=rt.clock.now())
    taken = await client.post(old, data={"name": "Vip <B>", **csrf})
    assert taken.status_code == 422
    assert "merge the two instead" in taken.text
    renamed = await client.post(old, data={"name": "new", **csrf})
    assert "is called new now" in (await client.get(renamed.headers["location"])).text
    async with rt.db.read(acme.scope) as tx:
        segment = await saved.get(tx, acme.scope, name="olds")
        assert show(saved.rule_of(segment)) == 'tag in (new, "vip <b>") or tag != new'
    assert (await client.post(f"{old}/merge", data={"into": "new", **csrf})).status_code == 422
    assert (await client.post(f"{old}/merge", data={"into": "nothing", **csrf})).status_code == 422
    merged = await client.post(f"{old}/merge", data={"into": "vip <b>", **csrf})
    assert "It is one with" in (await client.get(merged.headers["location"])).text
    assert (await client.get(old)).status_code == 404
    assert "vip &lt;b&gt;" in (await client.get(f"/contacts/{acme.contact_id}")).text
    assert "No tag found" in (await client.get("/tags?q=nothing")).text
    vip = f"/tags/{by_name['vip &lt;b&gt;']}"
    await client.post("/logout", data=csrf)
    theirs = {"_csrf_token": await log_in(client, "other")}
    assert (await client.get(vip)).status_code == 404
    for path in (vip, f"{vip}/merge", f"{vip}/delete"):
        assert (await client.post(path, data={"name": "x", "into": "x", **theirs})).status_code == 404
    await client.post("/logout", data=theirs)
    csrf = {"_csrf_token": await log_in(client)}
    assert "The segment olds" in (await client.get(vip)).text
    refused = await client.post(f"{vip}/delete", data=csrf)
    assert (refused.status_code, "is used by the segment olds" in refused.text) == (422, True)
    mine = await key(acme.scope, Role.EDITOR)
    refused = await client.delete(f"/api/v1{vip}", headers=mine)
    assert (refused.status_code, "is used by the segment olds" in refused.json()["detail"]) == (422, True)
    async with rt.db.write(acme.scope) as tx:
        segment = await saved.get(tx, acme.scope, name="olds")
        await saved.delete(tx, acme.scope, segment_id=segment.id or 0, now=rt.clock.now())
    assert "Used by" not in (await client.get(vip)).text
    gone = await client.post(f"{vip}/delete", data=csrf)
    assert "was deleted" in (await client.get(gone.headers["location"])).text


async def test_the_audit_log_is_for_those_who_manage(client: Any, rt: Runtime, acme: Any, other: Any):
    csrf = {"_csrf_token": await log_in(client)}
    await client.post(f"/contacts/{acme.contact_id}/delete", data=csrf)
    await client.get("/contacts")  # which says so, with the address
    page = (await client.get("/audit")).text
    assert "contact.delete" in page
    assert "user.login" in page
    assert "owner@acme.test" in page
    assert "192.0.2.7" in page
    assert "ann@acme.test" not in page
    for query, there in [
        ("action=contact", True), ("action=campaign", False), ("q=contact.delete", True), ("q=contact", True),
        ("q=contact.restore", False), ("since=2026-03-01", True), ("since=2026-03-02", False),
        ("until=2026-03-01", True), ("until=2026-02-28", False), ("since=%27%3B--", True), ("actor=cli", False),
    ]:  # fmt: skip
        assert ("contact.delete</td>" in (await client.get(f"/audit?{query}")).text) is there, query
    await client.post("/logout", data=csrf)
    await log_in(client, "other")
    assert "contact.delete" not in (await client.get("/audit")).text
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="editor"))
    assert (await client.get("/audit")).status_code == 403
    assert "/audit" not in (await client.get("/contacts")).text


async def test_addresses_are_suppressed_and_allowed_again(client: Any, rt: Runtime, acme: Any):
    csrf = {"_csrf_token": await log_in(client)}
    wrong = await client.post("/suppression", data={"targets": "a@example.org\nnot an address", **csrf})
    assert wrong.status_code == 422
    assert "not an address" in wrong.text
    added = await client.post("/suppression", data={"targets": "ann@acme.test\nexample.com", **csrf})
    assert "2 added" in (await client.get(added.headers["location"])).text
    assert "This address is suppressed" in (await client.get(f"/contacts/{acme.contact_id}")).text
    async with rt.db.read(INSTANCE) as tx:
        ids = [str(found) for found in await tx.scalars(sa.select(col(Suppression.id)))]
    by_hand = (await client.get("/suppression?reason=manual")).text
    assert ("By hand" in by_hand, "example.com" in by_hand) == (True, True)
    assert "Nothing found" in (await client.get("/suppression?reason=bounces")).text
    file = await client.get("/suppression.csv")
    assert 'filename="suppression.csv"' in file.headers["content-disposition"]
    removed = await client.post("/suppression/remove", data={"ids": ids, **csrf})
    assert "2 taken off" in (await client.get(removed.headers["location"])).text
    back = await client.post("/suppression/import", data=csrf, files={"file": ("back.csv", file.content)})
    assert "2 added, 0 were on the list already" in (await client.get(back.headers["location"])).text
    mixed = b"ann@acme.test\nnot <b>one</b>\nnew@example.org\n"
    told = await client.post("/suppression/import", data=csrf, files={"file": ("x.csv", mixed)})
    assert "1 added, 1 were on the list already, 1 line could not be read" in told.text
    assert "Line 2: &#39;not &lt;b&gt;one&lt;/b&gt;&#39; is neither" in told.text
    for body, problem in ((b"%PDF-1.7", "X.csv is a PDF"), (b"", "X.csv: the file is empty")):
        wrong = await client.post("/suppression/import", data=csrf, files={"file": ("x.csv", body)})
        assert (wrong.status_code, problem in wrong.text) == (422, True), wrong.text
    assert (await client.post("/suppression/import", data=csrf)).status_code == 422
    many = b"no <b>address</b>\n" + b"".join(b"many%d@b.test\n" % number for number in range(20_000))
    big = await client.post("/suppression/import", data=csrf, files={"file": ("<i>.csv", many)})
    assert "The import has begun" in (await client.get(big.headers["location"])).text
    runs = JobRuns(rt)
    while await runs.turn():
        pass
    job = (await client.get(big.headers["location"])).text
    assert all(words in job for words in ("&lt;i&gt;.csv", "20,000", "1 line: 1", "20,001")), job
    assert "many19999@b.test" in (await client.get("/suppression?q=many19999")).text
    log = (await client.get("/audit?action=suppression")).text
    assert log.count("suppression.export") == 1
    made = await client.post("/lists/new", data={"name": " Friends  of <b>", **csrf})
    assert "Friends of &lt;b&gt;" in (await client.get(made.headers["location"])).text
    assert (await client.post("/lists/new", data={"name": "Friends of <b>", **csrf})).status_code == 422


async def test_other_tenants_and_viewers_change_nothing(client: Any, rt: Runtime, acme: Any, other: Any):
    csrf = {"_csrf_token": await log_in(client)}
    theirs = f"/contacts/{other.contact_id}"
    for path in (theirs, f"{theirs}/edit"):
        assert (await client.get(path)).status_code == 404
    for act in ("edit", "delete", "tag", "unsubscribe"):
        assert (await client.post(f"{theirs}/{act}", data={"tag": "x", **csrf})).status_code == 404, act
    data = {"ids": [str(other.contact_id)], "act": "delete", **csrf}
    for fields in (data, {**data, "act": "tag", "tag_name": "x"}, {**data, "act": "unsubscribe"}):
        answer = await client.post("/contacts/bulk", data=fields)
        assert "0 contacts" in (await client.get(answer.headers["location"])).text
    async with rt.db.read(INSTANCE) as tx:
        untouched = await tx.get(Contact, other.contact_id)
    assert untouched is not None
    assert (untouched.deleted_at, untouched.state) == (None, "subscribed")
    assert "other" not in (await client.get("/contacts")).text.replace("another", "")
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    page = (await client.get("/contacts")).text
    assert "Add a contact" not in page
    assert 'name="ids"' not in page
    for path in (
        "contacts/new",
        "contacts/bulk",
        f"contacts/{acme.contact_id}/delete",
        "lists/new",
        "suppression",
    ):
        sent = {
            "email": "x@y.test",
            "consent_source": "x",
            "name": "x",
            "targets": "a@b.test",
            "act": "delete",
        }
        answer = await client.post(f"/{path}", data={**sent, "ids": str(acme.contact_id), **csrf})
        assert answer.status_code == 403, path
