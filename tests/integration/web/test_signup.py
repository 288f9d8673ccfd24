"""Signing up, confirming and choosing lists, as people, scanners, programs and attackers do it."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import owned, table_of
from mailengine.domain.contacts import lists, states, suppression
from mailengine.domain.contacts.suppression import HASH_PURPOSE, Target, erased_hash, parse_target
from mailengine.domain.delivery.transactional.senders import Sender, set_default_sender
from mailengine.domain.signup import forms
from mailengine.domain.signup.forms import FormFields
from mailengine.domain.signup.signups import PER_DAY, VALID
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import (
    Consent,
    Contact,
    ContactList,
    DefaultSender,
    ListMember,
    Message,
    Role,
    SuppressionKind,
)
from mailengine.runtime import Runtime
from support.browsing import log_in
from support.house import NOW

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
WORDING = "I want the letter & nothing <else>."


async def a_form(rt: Runtime, sent: Any, *, double: bool = True, **fields: Any) -> str:
    """A form to the list Letter; returns its path."""
    async with rt.db.write(sent.scope) as tx:
        sender = Sender("", f"hello@{sent.email.partition('@')[2]}")
        await set_default_sender(tx, sent.scope, sender=sender, now=NOW)
        made = await lists.create_list(tx, sent.scope, name="Letter", now=NOW)
        await lists.update_list(tx, sent.scope, list_id=made.id or 0, double_opt_in=double, now=NOW)
        values = {"name": "Site", "lists": ["Letter"], "wording": WORDING, **fields}
        form = await forms.create_form(tx, sent.scope, FormFields(**values), organisation="Acme", now=NOW)
    return f"/f/{form.uid}"


async def mails(rt: Runtime) -> list[Message]:
    async with rt.db.read(INSTANCE) as tx:
        return list(await tx.scalars(sa.select(Message).order_by(col(Message.id))))


async def link_in(rt: Runtime) -> str:
    """The path of the newest confirmation."""
    found = re.search(r"/f/confirm/\S+", (await mails(rt))[-1].text)
    assert found is not None
    return found[0]


async def person(rt: Runtime, sent: Any, email: str) -> Contact | None:
    async with rt.db.read(sent.scope) as tx:
        found: Contact | None = await tx.scalar(
            owned(Contact, sent.scope).where(col(Contact.email_key) == email)
        )
        return found


async def member_states(rt: Runtime, sent: Any, email: str) -> dict[str, str]:
    async with rt.db.read(sent.scope) as tx:
        rows = await tx.execute(
            sa.select(col(ContactList.name), col(ListMember.state))
            .join(ContactList, col(ContactList.id) == col(ListMember.list_id))
            .join(Contact, col(Contact.id) == col(ListMember.contact_id))
            .where(col(Contact.email_key) == email, col(Contact.tenant_id) == sent.scope.tenant_id)
        )
        return {name: state for name, state in rows.all()}  # noqa: C416


async def consents(rt: Runtime) -> list[tuple[str, str, str, str]]:
    async with rt.db.read(INSTANCE) as tx:
        rows = await tx.scalars(sa.select(Consent).order_by(col(Consent.id)))
        return [(row.act, row.source, row.wording, row.ip) for row in rows]


async def test_what_is_the_organisations_to_mend_no_visitor_reads(client: Any, rt: Runtime, acme: Any):
    path = await a_form(rt, acme)
    async with rt.db.write(acme.scope) as tx:
        sender = table_of(DefaultSender)
        await tx.execute(sa.delete(sender).where(sender.c.tenant_id == acme.scope.tenant_id))
    answer = await client.post(path, data={"email": "new@acme.test"})
    assert (answer.status_code, "at the moment" in answer.text) == (503, True)
    assert "mailengine tenant" not in answer.text
    assert await person(rt, acme, "new@acme.test") is None


async def test_from_the_form_to_the_list(client: Any, rt: Runtime, acme: Any, other: Any):
    path = await a_form(rt, acme, intro="Once a <month>", ask_name=True)
    page = await client.get(path)
    assert page.status_code == 200
    assert all(
        text in page.text for text in ("Once a &lt;month&gt;", "nothing &lt;else&gt;", 'name="first_name"')
    )
    assert "<script" not in page.text.replace('<script type="module"', "")
    answer = await client.post(path, data={"email": "New@Acme.test", "first_name": "Nina"})
    assert answer.status_code == 200
    assert "on its way to" in answer.text
    assert "set-cookie" not in answer.headers
    contact = await person(rt, acme, "new@acme.test")
    assert contact is not None
    assert (contact.state, contact.first_name, contact.consent_source) == ("unconfirmed", "Nina", "")
    assert await member_states(rt, acme, "new@acme.test") == {"Letter": "unconfirmed"}
    (mail,) = await mails(rt)
    assert (mail.email, mail.kind, mail.tenant_id) == ("New@acme.test", "confirmation", acme.scope.tenant_id)
    link = await link_in(rt)
    shown = await client.get(link)
    assert "Subscribe?" in shown.text
    assert (await person(rt, acme, "new@acme.test")).state == "unconfirmed"  # a scanner opened it
    for _ in range(2):
        confirmed = await client.post(link)
        assert (confirmed.status_code, "You are subscribed" in confirmed.text) == (200, True)
    contact = await person(rt, acme, "new@acme.test")
    assert (contact.state, contact.consent_source, contact.consent_ip) == (
        "subscribed",
        "form Site",
        "192.0.2.7",
    )
    assert await member_states(rt, acme, "new@acme.test") == {"Letter": "subscribed"}
    assert await consents(rt) == [("given", "form Site", WORDING, "192.0.2.7")]
    assert await person(rt, other, "new@acme.test") is None


async def test_without_confirmation_only_for_newcomers(client: Any, rt: Runtime, acme: Any):
    path = await a_form(rt, acme, double=False)
    await client.post(path, data={"email": "new@acme.test"})
    assert (await person(rt, acme, "new@acme.test")).state == "subscribed"
    assert [consent[0] for consent in await consents(rt)] == ["given"]
    assert await mails(rt) == []
    async with rt.db.write(acme.scope) as tx:
        await states.unsubscribe(tx, acme.scope, contact_id=acme.contact_id, now=NOW, reason="link")
    await client.post(path, data={"email": "ann@acme.test"})
    assert (await person(rt, acme, "ann@acme.test")).state == "unsubscribed"  # anybody could type that
    await client.post(await link_in(rt))
    assert (await person(rt, acme, "ann@acme.test")).state == "subscribed"


async def test_the_answer_is_the_same_for_everybody(client: Any, rt: Runtime, acme: Any):
    path = await a_form(rt, acme)
    async with rt.db.write(acme.scope) as tx:
        targets = [
            parse_target("gone@acme.test"),
            parse_target("blocked.test"),
            Target(
                SuppressionKind.HASH,
                erased_hash(rt.keyring.derive_for_ever(HASH_PURPOSE), "erased@acme.test"),
            ),
        ]
        await suppression.suppress_all(tx, acme.scope, targets, reason="test", now=NOW)
    answers = {}
    for email in ("new@acme.test", "ann@acme.test", "gone@acme.test", "x@blocked.test", "erased@acme.test"):
        answer = await client.post(path, data={"email": email})
        answers[email] = answer.text.replace(email, "…")
        assert answer.status_code == 200
    assert len(set(answers.values())) == 1
    assert [mail.email for mail in await mails(rt)] == ["new@acme.test", "ann@acme.test"]
    for email in ("gone@acme.test", "x@blocked.test", "erased@acme.test"):
        assert await person(rt, acme, email) is None


async def test_programs_and_floods_get_nothing_done(client: Any, rt: Runtime, acme: Any):
    path = await a_form(rt, acme)
    trapped = await client.post(path, data={"email": "bot@acme.test", "website": "https://spam.test"})
    assert "on its way to" in trapped.text
    assert await person(rt, acme, "bot@acme.test") is None
    for _ in range(5):
        await client.post(path, data={"email": "victim@acme.test"})
    assert len(await mails(rt)) == PER_DAY
    for bad in ("", "no address", "x" * 400 + "@acme.test", "a@acme.test\nBcc: b@acme.test"):
        refused = await client.post(path, data={"email": bad})
        assert (refused.status_code, 'role="alert"' in refused.text) == (422, True), bad
    for number in range(20):
        flooding = await client.post(path, data={"email": f"p{number}@acme.test"})
    assert (flooding.status_code, 0 < int(flooding.headers["retry-after"]) <= 60) == (429, True)
    assert (await client.post(path, data={"email": "x" * 50_000})).status_code == 413


async def test_a_network_of_ipv6_is_one_client(app: Any, rt: Runtime, acme: Any) -> None:
    path, codes = await a_form(rt, acme), []
    for number in range(22):
        network = "2001:db8:0:1" if number < 21 else "2001:db8:0:2"
        transport = httpx.ASGITransport(app, client=(f"{network}::{number:x}", 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025") as visitor:
            codes.append((await visitor.post(path, data={"email": f"v6-{number}@acme.test"})).status_code)
    assert codes == [200] * 20 + [429, 200]


async def test_links_end_and_cannot_be_made(client: Any, rt: Runtime, acme: Any, other: Any):
    path = await a_form(rt, acme)
    await client.post(path, data={"email": "new@acme.test"})
    link = await link_in(rt)
    for wrong in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        "/f/confirm/1-1-x",
        "/f/confirm/--",
        "/f/unknown",
    ):
        assert (await client.get(wrong)).status_code == 404
        assert (await client.post(wrong)).status_code == 404
    tenant, rest = link.removeprefix("/f/confirm/").split("-", 1)
    assert (await client.post(f"/f/confirm/{int(tenant) + 1}-{rest}")).status_code == 404
    rt.clock.advance(VALID + timedelta(seconds=1))
    assert (await client.post(link)).status_code == 404
    assert (await person(rt, acme, "new@acme.test")).state == "unconfirmed"
    async with rt.db.write(acme.scope) as tx:
        found = await forms.get_form(tx, acme.scope, name="Site")
        await forms.update_form(
            tx, acme.scope, form_id=found.id or 0, fields=FormFields(enabled=False), now=NOW
        )
    assert (await client.get(path)).status_code == (await client.post(path)).status_code == 404


async def test_the_preference_centre(client: Any, rt: Runtime, acme: Any, other: Any, key: Any):
    async with rt.db.write(acme.scope) as tx:
        public = await lists.create_list(tx, acme.scope, name="Tips & <tricks>", now=NOW)
        await lists.update_list(
            tx, acme.scope, list_id=public.id or 0, description="Once a week", public=True, now=NOW
        )
        await lists.create_list(tx, acme.scope, name="Secret", now=NOW)
    url = f"/p/{acme.token(rt, Purpose.MANAGE)}"
    assert url in (await client.get(url.replace("/p/", "/u/"))).text
    page = await client.get(url)
    assert "Tips &amp; &lt;tricks&gt;" in page.text
    assert "Secret" not in page.text
    both = {"lists": [str(public.id), str(acme.list_id), str(other.list_id), "x", "9" * 30]}
    saved = await client.post(url, data=both)
    assert "Your choice is saved" in saved.text
    assert await member_states(rt, acme, "ann@acme.test") == {
        "acme customers": "subscribed",
        "Tips & <tricks>": "subscribed",
    }
    assert await member_states(rt, other, "ann@other.test") == {"other customers": "subscribed"}
    await client.post(url, data={"lists": [str(public.id)]})
    assert (await member_states(rt, acme, "ann@acme.test"))["acme customers"] == "unsubscribed"
    assert (await person(rt, acme, "ann@acme.test")).state == "subscribed"
    await client.post(url, data={"all": "off", "lists": [str(public.id)]})
    assert (await person(rt, acme, "ann@acme.test")).state == "unsubscribed"
    assert set((await member_states(rt, acme, "ann@acme.test")).values()) == {"unsubscribed"}
    await client.post(url, data={"lists": [str(acme.list_id)]})
    assert (await person(rt, acme, "ann@acme.test")).state == "subscribed"
    # Leaving everything is two acts: off the last list, and no mail at all.
    acts = [act for act, *_ in await consents(rt)]
    assert acts == ["given", "withdrawn", "withdrawn", "withdrawn", "given"]
    known = f"contacts/{acme.contact_id}"
    told = await client.get(f"/api/v1/{known}/consents", headers=await key(acme.scope, Role.VIEWER))
    tips, customers = "Tips & <tricks>", "acme customers"
    assert [act["list"] for act in told.json()] == [tips, customers, tips, None, customers]
    await log_in(client, acme.email)
    assert "preference centre · Tips &amp; &lt;tricks&gt;" in (await client.get(f"/{known}")).text
    assert (await person(rt, other, "ann@other.test")).state == "subscribed"
    assert (await client.get(f"/p/{acme.token(rt, Purpose.TRACK)}")).status_code == 404


async def test_forms_over_the_api_are_each_tenants_own(client: Any, rt: Runtime, acme: Any, other: Any):
    from mailengine.domain.accounts import api_keys

    async def key(sent: Any) -> dict[str, str]:
        async with rt.db.write(sent.scope) as tx:
            made = await api_keys.create(tx, sent.scope, name="k", role=Role.OWNER, now=NOW)
        return {"Authorization": f"Bearer {made.token}"}

    mine, theirs = await key(acme), await key(other)
    body = {"name": "Site", "lists": ["acme customers"], "title": "A & B", "ask_name": True}
    made = (await client.post("/api/v1/forms", json=body, headers=mine)).json()
    assert made["url"].endswith(made["url"].rpartition("/f/")[2])
    assert f'action="{made["url"]}"' in made["embed"]
    assert "<script" not in made["embed"]
    assert (await client.post("/api/v1/forms", json=body, headers=mine)).status_code == 409
    assert (await client.post("/api/v1/forms", json=body, headers=theirs)).status_code == 404  # their lists
    url = f"/api/v1/forms/{made['id']}"
    assert (await client.patch(url, json={"enabled": False}, headers=mine)).json()["enabled"] is False
    for method in ("get", "delete"):
        assert (await getattr(client, method)(url, headers=theirs)).status_code == 404
    assert (await client.patch(url, json={"title": "x"}, headers=theirs)).status_code == 404
    assert (await client.get("/api/v1/forms", headers=theirs)).json()["total"] == 0
    listed = f"/api/v1/lists/{acme.list_id}"
    changed = await client.patch(listed, json={"double_opt_in": True, "description": "x"}, headers=mine)
    assert (changed.json()["double_opt_in"], changed.json()["description"]) == (True, "x")
    assert (await client.patch(listed, json={"public": True}, headers=theirs)).status_code == 404
    assert (await client.delete(url, headers=mine)).status_code == 204
