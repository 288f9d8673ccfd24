"""Consent history, the timeline of a contact and the audit log: all there, in order, page by page, nobody else's."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.core.errors import Forbidden, InvalidInput
from mailengine.core.ids import ContactId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import consents, contacts, states
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.reports.timeline import Entry, timeline
from mailengine.models import ConsentAct, Contact
from support.house import KEYRING, NOW
from support.traces import leave_traces

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)


async def add(db: Database, scope: Scope, **details: str) -> Contact:
    async with db.write(scope) as tx:
        new = contacts.check_contact("ann@example.org", **details)
        return await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)


async def test_every_act_is_kept_and_the_latest_agreement_shows(db: Database, scope: Scope) -> None:
    contact = await add(db, scope, consent_source="paper form", consent_ip="192.0.2.1")
    link = Scope(scope.tenant_id, "link", frozenset(), address="192.0.2.9")
    contact_id = ContactId(contact.id or 0)
    async with db.read(scope) as tx:
        (only,) = await consents.history(tx, scope, contact=contact)
    assert (only.act, only.source, only.ip, only.at) == ("given", "paper form", "192.0.2.1", NOW)
    async with db.write(link) as tx:
        later = NOW + timedelta(days=1)
        await states.unsubscribe(tx, link, contact_id=contact_id, now=later, reason="one-click")
        await states.resubscribe(tx, link, contact_id=contact_id, now=later, reason="link")
    async with db.write(scope) as tx:
        act = consents.Act(ConsentAct.GIVEN, "form 3", wording="Yes, send me news", list_id=7)
        await consents.record(tx, scope, contact_id=contact_id, act=act, now=NOW + timedelta(days=2))
    async with db.read(scope) as tx:
        (shown,) = await tx.scalars(owned(Contact, scope))
        acts = await consents.history(tx, scope, contact=shown)
    assert [(act.act, act.source, act.ip) for act in acts] == [
        ("given", "paper form", "192.0.2.1"),
        ("withdrawn", "one-click", "192.0.2.9"),
        ("given", "resubscribed: link", "192.0.2.9"),
        ("given", "form 3", ""),
    ]
    assert (acts[-1].wording, acts[-1].list_id) == ("Yes, send me news", 7)
    assert (shown.consent_source, shown.consent_at) == ("form 3", NOW + timedelta(days=2))


async def test_the_timeline_is_whole_and_in_order_whatever_the_pages(
    db: Database, scope: Scope, other: Scope, tmp_path: Path
) -> None:
    contact_id = await leave_traces(db, scope, tmp_path)
    await leave_traces(db, other, tmp_path)
    async with db.write(scope) as tx:
        for day in range(1, 4):
            act = consents.Act(ConsentAct.GIVEN, f"form {day}")
            await consents.record(tx, scope, contact_id=contact_id, act=act, now=NOW + timedelta(days=day))
        await contacts.soft_delete(tx, scope, address="zoe.quagga@example.org", now=NOW + timedelta(days=9))
    whole = await read(db, scope, contact_id, limit=100)
    kinds = {entry.kind for entry in whole}
    assert {"added", "joined", "sent", "consent given", "delete", "resubscribe"} <= kinds
    assert [entry.at for entry in whole] == sorted((entry.at for entry in whole), reverse=True)
    assert (whole[0].kind, whole[-1].kind) == ("delete", "added")
    for limit in (1, 2, 3):
        assert await read(db, scope, contact_id, limit=limit) == whole
    assert await read(db, other, contact_id, limit=100) == []
    async with db.read(scope) as tx:
        for cursor in ("x", "W10", "WyJ4IiwxLDJd", "WyIyMDI2LTAxLTAxIiwxLDJd"):
            with pytest.raises(InvalidInput):
                await timeline(tx, scope, contact_id=contact_id, page=PageRequest(5, cursor))


async def read(db: Database, scope: Scope, contact_id: int, *, limit: int) -> list[Entry]:
    found: list[Entry] = []
    cursor: str | None = None
    async with db.read(scope) as tx:
        while True:
            page = await timeline(tx, scope, contact_id=contact_id, page=PageRequest(limit, cursor))
            found += page.items
            cursor = page.next
            if cursor is None:
                return found


async def test_the_audit_log_is_found_by_who_what_and_when(db: Database, scope: Scope, other: Scope) -> None:
    await add(db, scope)
    user = Scope(scope.tenant_id, "user:3", address="192.0.2.7")
    async with db.write(user) as tx:
        await contacts.soft_delete(tx, user, address="ann@example.org", now=NOW + timedelta(days=1))

    async def found(scope: Scope, **wanted: object) -> list[str]:
        async with db.read(scope) as tx:
            page = await audit.list_(tx, scope, page=PageRequest(), wanted=audit.Wanted(**wanted))  # type: ignore[arg-type]
            return [row.action for row in page.items]

    assert await found(scope) == ["contact.delete", "contact.create", "tenant.create"]
    assert await found(scope, actor="user:3") == ["contact.delete"]
    assert await found(scope, action="contact.*") == ["contact.delete", "contact.create"]
    assert await found(scope, action="contact.create", resource="contact") == ["contact.create"]
    assert await found(scope, since=NOW + timedelta(hours=1)) == ["contact.delete"]
    assert await found(scope, until=NOW + timedelta(hours=1), resource="tenant") == ["tenant.create"]
    assert await found(other, action="contact.*") == []
    with pytest.raises(Forbidden):
        await found(Scope(scope.tenant_id, "user:4", frozenset({Grant.READ, Grant.EDIT})))
