"""The pages of servers, domains, limits, kill switch, failures and jobs; and who may not."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import owned
from mailengine.domain.delivery.health import note
from mailengine.domain.jobs import jobs
from mailengine.domain.senders.relays import list_relays
from mailengine.models import (
    JobKind,
    Membership,
    Message,
    Relay,
    SendingDomain,
    TaskStatus,
)
from mailengine.runtime import Runtime
from support.browsing import advance
from support.failures import fail_message

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')
SERVER = {"name": "main", "host": "127.0.0.1", "port": "1", "tls": "none", "priority": "0", "weight": "1"}


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


async def test_a_server_is_added_tested_disabled_and_removed(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    wrong = await client.post("/relays/new", data={**SERVER, "port": "many", "password": "s3cret", **csrf})
    assert wrong.status_code == 422
    assert "Give a whole number." in wrong.text
    assert "s3cret" not in wrong.text, "a password is never shown again"
    assert "main was added" in await follow(client, await client.post("/relays/new", data={**SERVER, **csrf}))
    tested = await client.post("/relays/main/test", data=csrf)
    assert tested.status_code == 200
    assert "The server does not work" in tested.text
    for act, words in [("disable", "is disabled"), ("enable", "is enabled"), ("remove", "was removed")]:
        assert words in await follow(client, await client.post(f"/relays/main/{act}", data=csrf))


async def test_a_servers_trouble_is_shown(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    await client.post("/relays/new", data={**SERVER, **csrf})
    assert "Trouble" not in (await client.get("/relays")).text
    async with rt.db.write(acme.scope) as tx:
        (relay,) = (await list_relays(tx, acme.scope)).items
        await note(tx, acme.scope, relay_id=relay.id or 0, words="<b>relaying denied", now=rt.clock.now())
    shown = (await client.get("/relays")).text
    assert "Trouble" in shown
    assert "&lt;b&gt;relaying denied" in shown


async def test_a_domain_shows_its_records_and_what_is_missing(client: Any, acme: Any):
    csrf = await log_in(client)
    assert (await client.post("/domains/new", data={"domain": "no domain", **csrf})).status_code == 422
    page = await follow(client, await client.post("/domains/new", data={"domain": "Acme.test", **csrf}))
    assert "v=DKIM1; k=rsa; p=" in page
    assert "_dmarc.acme.test" in page
    assert "Unverified" in (await client.get("/domains")).text
    assert "was removed" in await follow(client, await client.post("/domains/acme.test/remove", data=csrf))


async def test_stopping_asks_who_one_is_when_the_login_is_old(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    advance(rt, minutes=11)
    asked = await client.post("/delivery/kill-switch", data={"to": "on", "reason": "x", **csrf})
    assert asked.headers["location"].startswith("/account/confirm")
    assert "All sending is stopped" not in (await client.get("/delivery")).text
    exported = await client.post("/contacts/export", data={"all": "1", **csrf})
    assert exported.headers["location"].startswith("/account/confirm")


async def test_sending_is_stopped_limited_rested_and_warmed_up(client: Any, acme: Any):
    csrf = await log_in(client)
    stopped = await client.post("/delivery/kill-switch", data={"to": "on", "reason": "a <test>", **csrf})
    page = await follow(client, stopped)
    assert "a &lt;test&gt;" in page
    assert "All sending is stopped" in (await client.get("/contacts")).text, "said on every page"
    gone_on = await client.post("/delivery/kill-switch", data={"to": "off", **csrf})
    assert "Sending goes on" in await follow(client, gone_on)
    wrong = await client.post("/delivery/limits", data={"rate": "fast", "about": "tenant", **csrf})
    assert wrong.status_code == 422
    assert "is no rate" in wrong.text
    limited = await client.post("/delivery/limits", data={"rate": "500/hour", "about": "tenant", **csrf})
    assert "500/hour" in await follow(client, limited)
    data = {"scope": "tenant", "target": "", "period": "hour", **csrf}
    assert "The limit was removed" in await follow(
        client, await client.post("/delivery/remove-limit", data=data)
    )
    begun = await client.post("/delivery/warm-up", data={"to": "start", **csrf})
    assert "day 1, at most 50/hour" in await follow(client, begun)
    times = {"starts": "22:00", "ends": "07:00", "timezone": "Europe/Berlin", **csrf}
    nowhere = await client.post("/delivery/quiet-hours", data={**times, "timezone": "Mars"})
    assert "is no time zone" in nowhere.text
    assert "rest from 22:00 to 07:00" in await follow(
        client, await client.post("/delivery/quiet-hours", data=times)
    )
    assert (await client.post("/delivery/explode", data=csrf)).status_code == 404
    for act, hostile in (
        ("warm-up", {"to": "start", "scope": "moon"}),
        ("remove-limit", {"scope": "tenant", "period": "eon"}), ("remove-limit", {"scope": "<b>", "period": "hour"}),
    ):  # fmt: skip
        assert (await client.post(f"/delivery/{act}", data={**hostile, **csrf})).status_code == 422


async def test_a_failure_is_found_and_tried_again(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    await fail_message(rt, acme, TaskStatus.FAILED)
    page = (await client.get("/delivery/dead-letters?q=spam&cause=content")).text
    assert "554 &lt;spam&gt;" in page
    assert "554" not in (await client.get("/delivery/dead-letters?q=nothing")).text
    ids = re.findall(r'name="ids" value="(\d+)"', page)
    name = "acme &lt;script&gt;"
    named = f'href="/campaigns/{acme.campaign_id}" title="{name}">{name}</a>'
    assert named in page
    again = await client.post("/delivery/dead-letters", data={"ids": ids, **csrf})
    assert "1 back in the queue" in await follow(client, again)
    await fail_message(rt, acme, TaskStatus.FAILED)
    for filters, number in (
        ({"cause": "policy"}, 0),
        ({"q": "ham"}, 0),
        ({"cause": "content", "q": "spam"}, 1),
    ):
        everything = await client.post("/delivery/dead-letters", data={"all": "1", **filters, **csrf})
        assert f"{number} back in the queue" in await follow(client, everything)
    log = (await client.get("/audit")).text
    assert named.replace(name, f"Campaign {name}") in log, "the audit log names it, too"


async def test_single_messages_are_found_shown_and_tried_again(
    client: Any, rt: Runtime, acme: Any, other: Any
):
    csrf, path, now = await log_in(client), "/delivery/messages", rt.clock.now()
    async with rt.db.write(acme.scope) as tx:
        rows = ("Reset <b>", "failed", "SECRET"), ("Old", "failed", ""), ("Hello", "sent", "")
        for subject, status, text in rows:
            tx.add(Message(
                tenant_id=acme.scope.tenant_id, kind="notice", email=f"{status}@x.test", from_email="a@acme.test",
                subject=subject, text=text, status=status, created_at=now, scheduled_at=now, finished_at=now,
                cause="auth" if status == "failed" else "", last_reply="535 <no>",
            ))  # fmt: skip
    page = (await client.get(f"{path}?status=failed&q=reset")).text
    (message_id,) = re.findall(r'name="ids" value="(\d+)"', page)
    assert ("Reset &lt;b&gt;" in page, "sent@x.test" in page, "SECRET" in page) == (True, False, False)
    assert "sent@x.test" in (await client.get(f"{path}?q=SENT@x")).text
    shown = (await client.get(f"{path}/{message_id}")).text
    assert ("535 &lt;no&gt;" in shown, "Try again" in shown, "SECRET" in shown) == (True, True, False)
    (old,) = re.findall(r'name="ids" value="(\d+)"', (await client.get(f"{path}?q=old")).text)
    assert "kept for 7 days only" in (await client.get(f"{path}/{old}")).text
    await client.post("/logout", data=csrf)
    theirs = await log_in(client, "other")
    assert (await client.get(f"{path}/{message_id}")).status_code == 404
    assert "No message yet" in (await client.get(path)).text
    answer = await client.post(path, data={"ids": [message_id], **theirs})
    assert "0 back in the queue; 1 stay" in await follow(client, answer)
    await client.post("/logout", data=theirs)
    csrf = await log_in(client)
    assert "Nothing was selected" in await follow(client, await client.post(path, data=csrf))
    answer = await client.post(path, data={"ids": [message_id, old], **csrf})
    assert "1 back in the queue; 1 stay" in await follow(client, answer)
    async with rt.db.read(acme.scope) as tx:
        found = await tx.scalars(owned(Message, acme.scope).where(col(Message.status) == "queued"))
        assert [(row.id, row.cause, row.text) for row in found] == [(int(message_id), "", "SECRET")]


async def test_a_doubt_is_settled_and_jobs_are_listed(client: Any, rt: Runtime, acme: Any):
    csrf = await log_in(client)
    await fail_message(rt, acme, TaskStatus.DOUBT)
    page = (await client.get("/delivery/doubts")).text
    ids = re.findall(r'name="ids" value="(\d+)"', page)
    settled = await client.post("/delivery/doubts", data={"ids": ids, "act": "sent", **csrf})
    assert "1 settled as sent" in await follow(client, settled)
    async with rt.db.write(acme.scope) as tx:
        await jobs.create(
            tx, acme.scope, kind=JobKind.IMPORT, title="people <1>.csv", total=10, now=rt.clock.now()
        )
    page = (await client.get("/jobs?q=people&state=queued")).text
    assert "people &lt;1&gt;.csv" in page
    assert 'hx-trigger="every 2s"' in page


async def test_other_tenants_and_roles_change_nothing(client: Any, rt: Runtime, acme: Any, other: Any):
    csrf = await log_in(client)
    async with rt.db.write(INSTANCE) as tx:
        at, theirs = {"created_at": rt.clock.now()}, int(other.scope.tenant_id)
        tx.add(Relay(tenant_id=theirs, name="theirs", host="127.0.0.1", port=1, tls="none", **at))
        tx.add(SendingDomain(tenant_id=theirs, domain="other.test", **at))
    await fail_message(rt, other, TaskStatus.FAILED)
    for path in ("relays/theirs", "domains/other.test"):
        for act in ("remove", "test", "verify", "enable"):
            assert (await client.post(f"/{path}/{act}", data=csrf)).status_code == 404, path
    for path in ("relays", "domains", "delivery/dead-letters", "jobs"):
        text = (await client.get(f"/{path}")).text
        assert "theirs" not in text, path
        assert "other.test" not in text, path
    assert (await client.get("/domains/other.test")).status_code == 404
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="editor"))
    for path, data in [
        ("relays/new", SERVER),
        ("domains/new", {"domain": "x.test"}),
        ("delivery/limits", {"rate": "1/hour", "about": "tenant"}),
        ("delivery/warm-up", {"to": "start"}),
        ("delivery/quiet-hours", {"starts": "22:00", "ends": "07:00", "timezone": "UTC"}),
    ]:
        assert (await client.post(f"/{path}", data={**data, **csrf})).status_code == 403, path
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    for path in ("delivery/kill-switch", "delivery/dead-letters", "delivery/doubts"):
        data = {"to": "on", "ids": "1", "act": "sent", **csrf}
        assert (await client.post(f"/{path}", data=data)).status_code == 403, path
