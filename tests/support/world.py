"""A small installation with a tenant, people on a list and a way to send: what delivery tests start from."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailengine.core.clock import ManualClock
from mailengine.core.config import Settings, load_settings
from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.campaigns.campaigns import Fields, create
from mailengine.domain.campaigns.expand import expand_page
from mailengine.domain.campaigns.launch import Launched, launch
from mailengine.domain.contacts.lists import create_list
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.content import templates
from mailengine.domain.delivery.journal import boot_id
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.wake import bell_of
from mailengine.domain.delivery.worker import Worker
from mailengine.domain.senders import relays
from mailengine.models import (
    CampaignTotals,
    Contact,
    DeadLetter,
    EmailTask,
    ListMember,
    Relay,
    RelayKind,
    SendingDomain,
    Tls,
)

INSTANCE = InstanceScope("test")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HTML = (
    "<html><body><p>Hi {{ first_name|default('there') }}, {Hello|Welcome}!</p>"
    '<p><a href="https://example.org/offer?a=1&amp;b=2">The offer</a></p>'
    '<p>{{ postal_address }} <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>'
)


@dataclass
class World:
    """One tenant of one installation; `scope` is its operator's."""

    db: Database
    settings: Settings
    keyring: Keyring
    clock: ManualClock
    scope: Scope

    @property
    def hash_key(self) -> bytes:
        return self.keyring.derive_for_ever(HASH_PURPOSE)

    async def people(self, count: int, *, list_name: str = "Customers", prefix: str = "u") -> list[str]:
        """Subscribed contacts on a new list, in bulk."""
        return await self.addresses([f"{prefix}{number}@example.org" for number in range(count)], list_name)

    async def addresses(self, emails: list[str], list_name: str = "Customers") -> list[str]:
        """Subscribed contacts with these addresses on a new list."""
        now = self.clock.now()
        blank = {"consent_source": "", "consent_ip": "", "attributes": {}, "state": "subscribed"}
        times = {"created_at": now, "updated_at": now}
        async with self.db.write(self.scope) as tx:
            made = await create_list(tx, self.scope, name=list_name, now=now)
            rows: list[dict[str, Any]] = [
                {
                    "tenant_id": self.scope.tenant_id,
                    "email": email,
                    "email_key": email,
                    "first_name": "Ann",
                    "last_name": f"Müller {number}",
                    **blank,
                    **times,
                }
                for number, email in enumerate(emails)
            ]
            await tx.execute(sa.insert(table_of(Contact)), rows)
            contacts = table_of(Contact).c
            ids = await tx.scalars(
                sa.select(contacts.id).where(
                    contacts.tenant_id == self.scope.tenant_id, contacts.email.in_(emails)
                )
            )
            member = {"list_id": made.id, "tenant_id": self.scope.tenant_id, "state": "subscribed"}
            members = [{**member, "contact_id": found, "joined_at": now} for found in ids]
            await tx.execute(sa.insert(table_of(ListMember)), members)
        return emails

    async def relay(self, port: int, *, host: str = "127.0.0.1", name: str = "main") -> None:
        details = relays.check_relay(name=name, host=host, port=port, tls=Tls.NONE)
        async with self.db.write(self.scope) as tx:
            await relays.add(tx, self.scope, details=details, keyring=self.keyring, now=self.clock.now())

    async def direct(self, port: int) -> None:
        """To the recipients' own mail hosts, which all listen on this port."""
        values: dict[str, Any] = {"kind": RelayKind.DIRECT, "helo": "sender.test", "tls": Tls.NONE}
        scope, now = self.scope, self.clock.now()
        async with self.db.write(scope) as tx:
            tx.add(
                Relay(tenant_id=scope.tenant_id, name="direct", host="", port=port, created_at=now, **values)
            )
            tx.add(
                SendingDomain(
                    tenant_id=scope.tenant_id, domain="example.org", verified_at=now, created_at=now
                )
            )

    async def draft(self, *, name: str = "Spring", html: str = HTML, **changes: Any) -> CampaignId:
        """A template and a campaign that uses it."""
        prepared = await templates.prepare(html, known=())
        now = self.clock.now()
        fields = {
            "name": name,
            "template": f"Template of {name}",
            "lists": ["Customers"],
            "subject": "News for {{ first_name }}",
            "sender": "Acme <news@example.org>",
        }
        async with self.db.write(self.scope) as tx:
            await templates.add(tx, self.scope, name=f"Template of {name}", prepared=prepared, now=now)
            campaign = await create(tx, self.scope, Fields(**{**fields, **changes}), now=now)
        assert campaign.id is not None
        return CampaignId(campaign.id)

    async def launch(self, campaign_id: CampaignId, *, expand: bool = True) -> Launched:
        launched = await launch(self.db, self.scope, campaign_id=campaign_id, now=self.clock.now())
        if expand:
            await self.expand(campaign_id)
        return launched

    async def expand(self, campaign_id: CampaignId) -> None:
        while await expand_page(
            self.db, self.scope, campaign_id=campaign_id, hash_key=self.hash_key, now=self.clock.now()
        ):
            pass

    async def totals(self, campaign_id: CampaignId) -> CampaignTotals:
        async with self.db.read(self.scope) as tx:
            totals = await tx.scalar(
                owned(CampaignTotals, self.scope).where(table_of(CampaignTotals).c.campaign_id == campaign_id)
            )
        assert totals is not None
        return totals

    async def tasks(self) -> dict[str, EmailTask]:
        async with self.db.read(self.scope) as tx:
            return {task.email: task for task in await tx.scalars(owned(EmailTask, self.scope))}

    async def dead_letters(self) -> Sequence[DeadLetter]:
        async with self.db.read(self.scope) as tx:
            return (await tx.scalars(owned(DeadLetter, self.scope))).all()

    @property
    def wire_folder(self) -> Path:
        return self.settings.data_dir / "wire"

    @property
    def owner(self) -> Owner:
        return Owner("test-node", boot_id())

    def worker(self, **changes: Any) -> Worker:
        settings = self.settings.model_copy(
            update={"worker": self.settings.worker.model_copy(update=changes)}
        )
        return Worker(
            self.db, settings, self.keyring, self.clock, owner=self.owner, wire_folder=self.wire_folder
        )

    async def settled(self, campaign_id: CampaignId, *, waiting: int = 0, seconds: float = 60) -> None:
        """Until every task has an outcome, but for `waiting` of them."""
        async with asyncio.timeout(seconds):
            while True:
                totals = await self.totals(campaign_id)
                done = totals.sent + totals.failed + totals.skipped + totals.doubt
                if totals.tasks - done <= waiting:
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def a_world(
    database_url: str, folder: Path, *, tenant: str = "Acme", **sections: dict[str, Any]
) -> AsyncIterator[World]:
    """A world on a fresh migrated database; `sections` are settings: `dns={"port": 5300}`."""
    settings = load_settings(data_dir=folder, database={"url": database_url}, **sections)
    bell = bell_of(settings)
    db = Database(database_url, settings.database, on_commit=bell.ring)
    clock = ManualClock(NOON)
    try:
        async with db.write(INSTANCE) as tx:
            made = await create_tenant(
                tx, INSTANCE, name=tenant, country="DE", postal_address="Street 1, Köln", now=NOON
            )
        yield World(db, settings, Keyring(b"s" * 32), clock, scope_in(made, INSTANCE))
    finally:
        await db.close()
        await bell.close()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[asyncio.Event]:
    """The worker runs inside the block and is drained at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task
