"""The builder of segments: what a person does there with and without a script, and what is refused."""

from typing import Any

import pytest

from mailengine.core.paging import PageRequest
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import WriteTx
from mailengine.domain.campaigns import campaigns
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.contacts import contacts, tags
from mailengine.domain.contacts.contacts import check_contact
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.rules import Everyone
from mailengine.models import Membership, Role
from mailengine.runtime import Runtime
from support.browsing import fields_of, log_in, token_on
from support.tags import lose_tag

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
FORM = "segment-form"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The rules' SQL is tested on both databases; here it is what the page makes of them."""
    return sqlite_dsn


async def send(client: Any, path: str, fields: dict[str, list[str]], act: str = "") -> Any:
    return await client.post(path, data={**fields, "act": [act]} if act else fields)


async def stored(rt: Runtime, sent: Any) -> dict[str, Any]:
    async with rt.db.read(sent.scope) as tx:
        found = (await saved.list_segments(tx, sent.scope, page=PageRequest())).items
        return {row.name: saved.rule_of(row) for row in found}


async def add_segment(rt: Runtime, sent: Any, name: str, text: str) -> int:
    async with rt.db.write(sent.scope) as tx:
        row = await saved.add(tx, sent.scope, name=name, rule=parse(text), now=rt.clock.now())
        return int(row.id or 0)


async def people(tx: WriteTx, rt: Runtime, sent: Any) -> None:
    now = rt.clock.now()
    made = [
        await contacts.add(tx, sent.scope, check_contact(f"{name}@x.test"), now=now, hash_key=b"k")
        for name in ("bo", "cy")
    ]
    await tags.tag_contacts(tx, sent.scope, tag="vip", contact_ids=[row.id or 0 for row in made], now=now)


async def test_a_segment_is_built_without_a_script_line_by_line(client: Any, rt: Runtime, acme: Any):
    await log_in(client, acme.email)
    fields = fields_of((await client.get("/segments/new")).text, FORM)
    fields |= {"name": ["Known"], "l2_field": ["first_name"]}
    page = (await send(client, "/segments/new", fields)).text
    assert 'id="l2_op"' in page
    assert "Say a value" not in page, "nobody wanted to save yet"
    fields = fields_of(page, FORM) | {"l2_op": ["starts"], "l2_value": ["An"]}
    fields = fields_of((await send(client, "/segments/new", fields, "group:1")).text, FORM)
    assert fields["line"] == ["2:1", "3:1", "4:3"]
    refused = await send(client, "/segments/new", fields | {"l2_value": [""]}, "save")
    assert refused.status_code == 422
    assert "Say a value." in refused.text
    assert "Choose what it is about." in refused.text
    assert 'value="Known"' in refused.text
    fields |= {"l4_field": ["state"], "l4_op": ["not in"], "l4_value": ["bounced", "inactive"]}
    page = (await send(client, "/segments/new", fields, "add:3")).text
    fields = fields_of(page, FORM) | {"l5_field": ["opened"], "l5_op": ["not did"], "l5_days": ["90"]}
    page = (await send(client, "/segments/new", fields)).text
    text = "first_name starts with An and (state not in (bounced, inactive) or not opened within 90 days)"
    assert fields_of(page, FORM)["text"] == [text]
    assert '<span class="text-h1 tabular-nums" id="segment-people">1</span>' in page
    answer = await send(client, "/segments/new", fields_of(page, FORM), "save")
    assert answer.status_code == 303, answer.text
    assert await stored(rt, acme) == {"Known": parse(text).rule}
    page = (await client.get(answer.headers["location"])).text
    assert "The segment Known was saved" in page
    assert fields_of(page, FORM)["text"] == [text]


TEXTS = [
    "everyone",
    "not everyone",
    "not (everyone or tag = vip)",
    'email contains "a, b" or not not state = bounced',
    "not (tag in (other, vip) and list is not empty) and created_at before 2026-01-01",
    'clicked campaign "acme <script>" at least 3 times within 14 days',
    "(domain ends with .org and last_name is empty) or (consent_at within 30 days and not consent_at > 2026-01-01)",
]


async def test_the_page_of_a_rule_sent_back_as_it_is_means_the_same(client: Any, rt: Runtime, acme: Any):
    async with rt.db.write(acme.scope) as tx:
        await people(tx, rt, acme)
        await tags.create_tag(tx, acme.scope, name="other", now=rt.clock.now())
    await log_in(client, acme.email)
    for number, text in enumerate(TEXTS):
        here = f"/segments/{await add_segment(rt, acme, f'It {number}', text)}"
        fields = fields_of((await client.get(here)).text, FORM)
        answer = await send(client, here, fields | {"text": [""], "shown": [""]}, "save")
        assert answer.status_code == 303, (text, answer.text)
        assert (await stored(rt, acme))[f"It {number}"] == parse(text).rule, text


async def test_the_builder_follows_the_text_and_says_where_it_is_wrong(client: Any, rt: Runtime, acme: Any):
    await log_in(client, acme.email)
    fields = fields_of((await client.get("/segments/new")).text, FORM) | {"name": ["Late"]}
    page = (await send(client, "/segments/new", fields | {"text": ["email = and"]})).text
    assert "Column 9" in page
    assert fields_of(page, FORM)["line"] == fields["line"], "the conditions wait"
    page = (await send(client, "/segments/new", fields_of(page, FORM), "forget")).text
    assert fields_of(page, FORM)["text"] == ["everyone"]
    fields = fields_of(page, FORM) | {"text": ["  domain =  x.test and\nstate = unsubscribd "]}
    refused = await send(client, "/segments/new", fields, "save")
    assert refused.status_code == 422
    assert "There is no state unsubscribd; did you mean unsubscribed?" in refused.text
    fields = fields_of(refused.text, FORM)
    assert fields["l3_field"] == ["state"]
    assert fields["text"] == fields["shown"] == ["domain =  x.test and\nstate = unsubscribd"]
    fields |= {"l3_value": ["unsubscribed"]}
    assert (await send(client, "/segments/new", fields, "save")).status_code == 303
    assert await stored(rt, acme) == {"Late": parse("domain = x.test and state = unsubscribed").rule}


async def test_who_fits_is_counted_and_who_is_left_out_is_said(client: Any, rt: Runtime, acme: Any):
    async with rt.db.write(acme.scope) as tx:
        await people(tx, rt, acme)
        bo = await contacts.get_contact(tx, acme.scope, address="bo@x.test")
        bo.state = "bounced"
    segment_id = await add_segment(rt, acme, "VIP", "tag = vip")
    await log_in(client, acme.email)
    page = (await client.get(f"/segments/{segment_id}")).text
    assert "segment-people" not in page, "the page does not wait for the count"
    page = (await send(client, f"/segments/{segment_id}", fields_of(page, FORM))).text
    assert "1 would get a campaign" in page
    assert "Bounced" in page
    assert "cy@x.test" in page
    assert (await client.get(f"/segments/{segment_id}/count")).text.strip() == "2"
    async with rt.db.write(acme.scope) as tx:
        await lose_tag(tx, acme.scope, "vip")
    assert "Must be mended" in (await client.get(f"/segments/{segment_id}/count")).text
    page = (await client.get(f"/segments/{segment_id}")).text
    assert "There is no tag vip" in page
    assert fields_of(page, FORM)["l2_value"] == ["vip"], "what is wrong is still there to be seen"
    assert "VIP" in (await client.get("/segments?q=vi")).text
    assert "No segment found" in (await client.get("/segments?q=nobody")).text


async def test_a_segment_that_a_draft_names_is_not_deleted(client: Any, rt: Runtime, acme: Any):
    segment_id = await add_segment(rt, acme, "Mine", "everyone")
    now = rt.clock.now()
    async with rt.db.write(acme.scope) as tx:
        fields = Fields(
            name="Spring", template="acme letter", subject="Hi", sender="a@acme.test", segments=["Mine"]
        )
        draft = await campaigns.create(tx, acme.scope, fields, now=now)
    await log_in(client, acme.email)
    here = f"/segments/{segment_id}"
    token = {"_csrf_token": await token_on(client, here)}
    assert "It is used by 1 draft" in (await client.get(here)).text
    refused = await client.post(f"{here}/delete", data=token)
    assert refused.status_code == 409
    assert "is used by the campaign Spring; take it out there first" in refused.text
    assert "Spring" in (await client.get("/segments")).text
    async with rt.db.write(acme.scope) as tx:
        await campaigns.delete(tx, acme.scope, campaign_id=draft.id, now=now)
    assert (await client.post(f"{here}/delete", data=token)).status_code == 303
    assert await stored(rt, acme) == {}


async def test_nobody_else_sees_or_changes_it(client: Any, rt: Runtime, acme: Any, other: Any):
    segment_id = await add_segment(rt, acme, "Mine", "everyone")
    here, rule = (
        f"/segments/{segment_id}",
        {"text": "state = bounced", "shown": "", "name": "Taken", "act": "save"},
    )
    await log_in(client, other.email)
    token = {"_csrf_token": await token_on(client, "/segments/new")}
    assert "Mine" not in (await client.get("/segments")).text
    for path in (here, f"{here}/count"):
        assert (await client.get(path)).status_code == 404
    for path in (here, f"{here}/delete"):
        assert (await client.post(path, data=rule | token)).status_code == 404
    async with rt.db.write(INSTANCE) as tx:
        for row in await tx.scalars(_members(acme)):
            row.role = Role.VIEWER
    client.cookies.clear()
    await log_in(client, acme.email)
    token = {"_csrf_token": await token_on(client, "/account")}
    assert (await client.get(here)).status_code == 200
    assert "Save the segment" not in (await client.get(here)).text
    assert (await client.get("/segments/new")).status_code == 403
    for path in (here, f"{here}/delete", "/segments/new"):
        assert (await client.post(path, data=rule | token)).status_code == 403
    assert await stored(rt, acme) == {"Mine": Everyone()}


def _members(sent: Any) -> Any:
    import sqlalchemy as sa
    from sqlmodel import col

    return sa.select(Membership).where(col(Membership.tenant_id) == sent.scope.tenant_id)


HOSTILE: list[dict[str, list[str]]] = [
    {"line": ["2:2", "3:9", "1:1", "x", "-1:1", "5:1:1", "99999999:1", "４:1"]},
    {"line": ["2:3", "3:2"], "l2_join": ["any"], "l3_join": ["all"]},
    {"line": [f"{n + 1}:{n}" for n in range(1, 60)], **{f"l{n}_join": ["all"] for n in range(1, 60)}},
    {"line": [f"{n}:1" for n in range(2, 2000)]},
    {"l2_field": ["no such"], "l2_op": ["like"], "l2_value": ["x\x00y"]},
    {"l2_field": ["created_at"], "l2_op": ["within"], "l2_value": ["9" * 30]},
    {"l2_field": ["opened"], "l2_op": ["did"], "l2_times": ["-1"], "l2_days": ["many"]},
    {"l2_field": ["email"], "l2_op": ["in"], "l2_value": ["a\n" * 3000]},
    {"l2_field": ["<script>alert(1)</script>"], "l2_value": ["<script>alert(2)</script>"]},
    {"text": [" or ".join(["tag = a"] * 1500)]},
    {"text": ["(" * 5000]},
    {"act": ["add:999999999999"]},
    {"act": ["drop:1"]},
]


async def test_what_was_not_made_by_the_page_is_answered_in_order(client: Any, acme: Any):
    await log_in(client, acme.email)
    fields = fields_of((await client.get("/segments/new")).text, FORM) | {"name": ["x"]}
    for number, hostile in enumerate(HOSTILE):
        for act in ("", "save"):
            sent = fields | ({"act": [act]} if act else {}) | hostile
            answer = await client.post("/segments/new", data=sent)
            assert answer.status_code in (200, 303, 422), (number, answer.text[:300])
            assert "<script>alert" not in answer.text
            assert len(answer.text) < 3_000_000
