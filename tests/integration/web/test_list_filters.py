"""Every list page has a search and a filter (P0-07): what each leaves, what it says when that is nothing, and that
an address is anybody's to write."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from selectolax.lexbor import LexborHTMLParser
from sqlmodel import col

from mailengine.domain.accounts import api_keys
from mailengine.domain.contacts import lists, tags
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.models import (
    Campaign,
    CampaignState,
    Contact,
    ContactList,
    Relay,
    Role,
    SendingDomain,
    TaskStatus,
    Template,
)
from mailengine.runtime import Runtime
from support.browsing import log_in, token_on
from support.failures import fail_message
from support.house import INSTANCE

pytestmark = pytest.mark.anyio


async def fill(rt: Runtime, sent: Any) -> None:
    """Two rows of everything, one on each side of its filter."""
    scope, now, tenant = sent.scope, rt.clock.now(), int(sent.scope.tenant_id)
    async with rt.db.write(scope) as tx:
        row = await lists.create_list(tx, scope, name="Asked twice", now=now)
        await lists.update_list(tx, scope, list_id=row.id or 0, double_opt_in=True, public=True, now=now)
        segment = await saved.add(tx, scope, name="In a draft", rule=parse('first_name = "A"'), now=now)
        await saved.add(tx, scope, name="In none", rule=parse('first_name = "B"'), now=now)
        gone = Contact(
            tenant_id=tenant, email="gone@x.test", email_key="gone@x.test", created_at=now, updated_at=now
        )
        tx.add(gone)
        await tx.flush()
        for name, contact_id in (("carried", sent.contact_id), ("left over", gone.id)):
            await tags.create_tag(tx, scope, name=name, now=now)
            await tags.tag_contacts(tx, scope, tag=name, contact_ids=[contact_id or 0], now=now)
        gone.deleted_at = now
        at = {"tenant_id": tenant, "created_at": now}
        for name, on in (("first", True), ("second", False)):
            tx.add(Relay(name=name, host=f"{name}.test", port=25, tls="none", enabled=on, **at))
        tx.add(SendingDomain(domain="good.test", verified_at=now, **at))
        tx.add(SendingDomain(domain="open.test", **at))
        for name in ("used", "left"):
            await api_keys.create(tx, scope, name=name, role=Role.VIEWER, now=now)
        await api_keys.revoke(tx, scope, name="left", now=now)
        draft = {"template_id": sent.template_id, "subject": "S", "from_email": "a@x.test", "updated_at": now}
        tx.add(Campaign(name="Draft", state=CampaignState.DRAFT, segment_ids=[segment.id], **draft, **at))
        for name, days in (("old", 28), ("fresh", 1)):
            kept = {"name": name, "deleted_at": now - timedelta(days=days), "updated_at": now}
            tx.add(Template(**kept, **at))
            tx.add(Campaign(state=CampaignState.DRAFT, **draft | kept, **at))
    await fail_message(rt, sent, TaskStatus.DOUBT)


# Page, filter, what it leaves of the rows that the page has without it.
FILTERS = [
    ("/lists", {"": ["acme customers", "Asked twice"], "kind=single": ["acme customers"],
                "kind=double": ["Asked twice"], "kind=public": ["Asked twice"],
                "q=ASKED": ["Asked twice"], "q=asked&kind=single": []}),
    ("/segments", {"": ["In a draft", "In none"], "used=yes": ["In a draft"], "used=no": ["In none"],
                   "used=no&q=draft": []}),
    ("/tags", {"": ["carried", "left over"], "used=yes": ["carried"], "used=no": ["left over"],
               "used=yes&q=over": []}),
    ("/relays", {"": ["first", "second"], "enabled=yes": ["first"], "enabled=no": ["second"],
                 "q=second.TEST": ["second"], "q=25": []}),
    ("/domains", {"": ["good.test", "open.test"], "verified=yes": ["good.test"], "verified=no": ["open.test"],
                  "q=%25": []}),
    ("/delivery/doubts", {"": ["ann@acme.test"], "campaign=1": ["ann@acme.test"], "campaign=999": [],
                          "q=ann": ["ann@acme.test"], "q=bob": []}),
    ("/settings/keys", {"": ["left", "used"], "revoked=yes": ["left"], "revoked=no": ["used"],
                        "q=US&revoked=yes": []}),
    ("/team", {"": ["owner@acme.test"], "role=owner": ["owner@acme.test"], "role=viewer": [],
               "q=OWNER@": ["owner@acme.test"], "q=%25": []}),
    ("/campaigns/deleted", {"": ["fresh", "old"], "erased=week": ["old"], "erased=day": [], "q=fr": ["fresh"]}),
    ("/templates/deleted", {"": ["fresh", "old"], "erased=week": ["old"], "q=fr&erased=week": []}),
]  # fmt: skip


def rows_of(page: str) -> list[str]:
    """The names in the first column with a title."""
    return [
        str(node.attributes["title"])
        for row in LexborHTMLParser(page).css("#list tbody tr")
        if (node := row.css_first("td[title], td [title]")) is not None
    ]


async def test_each_filter_leaves_what_it_says(client: httpx.AsyncClient, rt: Runtime, acme: Any) -> None:
    await fill(rt, acme)
    await log_in(client, acme.email)
    for path, filters in FILTERS:
        for query, left in filters.items():
            page = (await client.get(f"{path}?{query}")).text
            assert sorted(rows_of(page)) == sorted(left), (path, query)
            assert bool(left) != ("found</h2>" in page), (path, query)
            form = LexborHTMLParser(page).css_first("form#filters")
            assert form is not None, (path, query)
            assert form.css_first('input[name="q"]') is not None, path
            assert form.css_first("select") is not None, path
        for name in {query.partition("=")[0] for query in filters if query} - {"q"}:
            for value in ("'; --", "%00", "9" * 30, "yes&" * 3, "²"):
                assert (await client.get(f"{path}?{name}={value}")).status_code == 200, (path, name, value)
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.delete(Relay).where(col(Relay.tenant_id) == acme.scope.tenant_id))
    empty = (await client.get("/relays")).text
    assert "No server yet" in empty
    assert 'id="filters"' not in empty


# Path below /api/v1, what names a row, query, what it leaves; the filters are those of the pages, with true for yes.
OVER_THE_API = [
    ("lists", "name", {"": ["acme customers", "Asked twice"], "double_opt_in=false": ["acme customers"],
                       "public=true": ["Asked twice"], "search=ASKED": ["Asked twice"],
                       "search=asked&public=false": []}),
    ("segments", "name", {"used=true": ["In a draft"], "used=false": ["In none"], "used=false&search=draft": []}),
    ("tags", "name", {"used=true": ["carried"], "used=false": ["left over"], "used=true&search=over": []}),
    ("relays", "name", {"enabled=true": ["first"], "enabled=false": ["second"], "search=second.TEST": ["second"],
                        "search=25": []}),
    ("sending-domains", "domain", {"verified=true": ["good.test"], "verified=false": ["open.test"],
                                   "search=%25": []}),
    ("api-keys", "name", {"revoked=true": ["left"], "revoked=false": ["admin key", "used"],
                          "search=US&revoked=true": []}),
    ("members", "email", {"role=owner": ["owner@acme.test"], "role=viewer": [], "search=OWNER@": ["owner@acme.test"],
                          "search=%25": []}),
    ("campaigns", "name", {"state=draft": ["Draft"], "search=DRA": ["Draft"], "search=dra&state=sent": []}),
    ("trash/campaigns", "name", {"search=fr": ["fresh"], "search=x": []}),
    ("trash/templates", "name", {"": ["fresh", "old"], "search=ol": ["old"]}),
    ("templates", "name", {"search=no-such": []}),
    ("contacts", "email", {"tag=carried": ["ann@acme.test"], "tag=left+over": [], "tag=Carried&state=bounced": [],
                           "tag=carried&list=acme+customers&search=ann": ["ann@acme.test"],
                           "deleted=true": ["gone@x.test"], "deleted=true&search=ann": [],
                           "deleted=true&tag=left+over": ["gone@x.test"], "sort=-address": ["ann@acme.test"]}),
    ("suppressions", "value", {"search=nobody": []}),
    ("jobs", "title", {"search=nothing": []}),
    ("forms", "name", {"search=none": [], "enabled=true": []}),
]  # fmt: skip


async def test_the_api_has_the_filters_of_the_pages(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    await fill(rt, acme)
    mine, theirs = await named_key(rt, acme), await key(other.scope, Role.OWNER)
    for path, name, filters in OVER_THE_API:
        for query, left in filters.items():
            answer = await client.get(f"/api/v1/{path}?{query}", headers=mine)
            assert answer.status_code == 200, (path, query, answer.text)
            assert sorted(row[name] for row in answer.json()["items"]) == sorted(left), (path, query)
        for wrong in ("search=", "search=%00", f"search={'x' * 201}"):
            assert (await client.get(f"/api/v1/{path}?{wrong}", headers=mine)).status_code == 400, (
                path,
                wrong,
            )
    for wrong in (
        "lists?public=perhaps",
        "tags?used=2x",
        "members?role=king",
        "contacts?sort=name",
        "contacts?tag=",
    ):
        assert (await client.get(f"/api/v1/{wrong}", headers=mine)).status_code == 400, wrong
    for absent in ("contacts?tag=carried", "contacts?list=acme+customers"):
        assert (await client.get(f"/api/v1/{absent}", headers=theirs)).status_code == 404, absent


async def named_key(rt: Runtime, sent: Any) -> dict[str, str]:
    """A key among those that are listed."""
    async with rt.db.write(sent.scope) as tx:
        now = rt.clock.now()
        made = await api_keys.create(tx, sent.scope, name="admin key", role=Role.ADMIN, now=now)
    return {"Authorization": f"Bearer {made.token}"}


async def test_of_very_many_one_is_searched_for(client: Any, rt: Runtime, acme: Any, other: Any):
    """A menu of 101 lists is none: filters and forms take a name, the wizard boxes that are found."""
    scope, now = acme.scope, rt.clock.now()
    at = {"tenant_id": int(scope.tenant_id), "created_at": now}
    async with rt.db.write(scope) as tx:
        await tx.execute(sa.insert(ContactList), [{"name": f"Branch {n:03}", **at} for n in range(101)])
        keys = [(await tags.create_tag(tx, scope, name=f"t{n}", now=now)).id for n in range(101)]
        draft = Campaign(
            name="D", state=CampaignState.DRAFT, subject="S", from_email="a@x.test",
            template_id=acme.template_id, list_ids=[], updated_at=now, **at,
        )  # fmt: skip
        tx.add(draft)
    await log_in(client, acme.email)
    csrf = {"_csrf_token": await token_on(client, "/contacts")}
    page = (await client.get("/contacts?list_name=acme+customers")).text
    assert ("ann@acme.test" in page, page.count("Branch ")) == (True, 0)
    assert f'name="list" value="{acme.list_id}" form="export-form"' in page
    assert 'name="tag_name" value="" placeholder="Tag"' in page
    assert "ann@acme.test" not in (await client.get("/contacts?list_name=nothing")).text
    linked = (await client.get(f"/contacts?list={acme.list_id}")).text
    assert 'name="list_name" value="acme customers"' in linked
    assert "Nobody found" in (await client.get("/contacts?list_name=other+customers")).text
    names = (await client.get("/choices/lists?of=to_list&to_list=branch+07")).text
    assert names.count("<option") == 10
    assert "other customers" not in (await client.get("/choices/lists?of=q&q=customers")).text
    assert (await client.get("/choices/people")).status_code == 404
    assert (await client.get("/choices/tags?of=q&q=t%00%27%25")).status_code == 200
    step = (await client.get(f"/campaigns/{draft.id}/audience")).text
    assert step.count('name="lists" value=') == 100
    typed = {"lists": [str(acme.list_id), "999999", "x"], "find_lists": "branch 100", **csrf}
    found = (await client.post("/choices/lists/boxes?of=lists", data=typed)).text
    assert re.findall(r'id="lists-\d+" name="lists" value="\d+"( checked)?', found) == [" checked", ""]
    assert "Branch 100" in found
    theirs = {"lists": [str(other.list_id)], "find_lists": "customers", **csrf}
    assert "other customers" not in (await client.post("/choices/lists/boxes?of=lists", data=theirs)).text
    tag = (await client.get(f"/tags/{keys[0]}")).text
    assert ('list="into-names"' in tag, tag.count("<option")) == (True, 0)
    wrong = await client.post(f"/tags/{keys[0]}/merge", data={"into": "nothing", **csrf})
    assert (wrong.status_code, "There is no tag called nothing" in wrong.text) == (422, True)
    added = {"email": "bo@x.test", "consent_source": "fair", "list": "no such", **csrf}
    refused = await client.post("/contacts/new", data=added)
    assert (refused.status_code, 'id="list-error"' in refused.text) == (422, True)
    made = await client.post("/contacts/new", data={**added, "list": "Branch 100"})
    assert "Branch 100" in (await client.get(made.headers["location"])).text
