"""An app over a real database with two tenants in it, each with a campaign that was sent to one contact."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Litestar
from sqlmodel import SQLModel, col

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.accounts import api_keys
from mailengine.domain.accounts.setup import create_owned_tenant
from mailengine.domain.accounts.tenants import check_tenant
from mailengine.domain.accounts.users import hash_password
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.domain.tracking.tokens import Purpose, TokenSigner
from mailengine.models import (
    Campaign,
    CampaignState,
    CampaignTotals,
    Contact,
    ContactList,
    EmailTask,
    ListMember,
    Role,
    SendingDomain,
    Snapshot,
    TaskStatus,
    Template,
    TemplateVersion,
)
from mailengine.runtime import Runtime
from mailengine.web.app import create_app, made_once
from support.served import listener, serving
from support.tenancy_guard import attach

INSTANCE = InstanceScope(actor="test")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
LINKS = ["https://example.org/spring?a=1&b=2", "http://example.org/ü", "javascript:alert(1)", "//evil.test"]
HTML = (
    "<html><body><p>Hello {{ first_name }}</p><a href='{{ click_url }}/0'>Look</a>"
    "<a href='{{ unsubscribe_url }}'>Leave</a><img src='{{ open_url }}'></body></html>"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A tenant whose campaign reached one contact."""

    scope: Scope
    email: str
    user_id: int
    contact_id: int
    list_id: int
    template_id: int
    campaign_id: int
    task_id: int

    def token(self, rt: Runtime, purpose: Purpose) -> str:
        return TokenSigner(rt.keyring).sign(self.task_id, self.scope.tenant_id, purpose)


@pytest.fixture(scope="session")
async def password_hash() -> str:
    return await hash_password(PASSWORD)


@pytest.fixture
async def make_runtime(database_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Runtime]]:
    """Opens the test's installation with the given sections of settings."""
    opened: list[Runtime] = []

    def make(**sections: Any) -> Runtime:
        settings = load_settings(data_dir=tmp_path, database={"url": database_url}, **sections)
        db = attach(Database(settings.database_url, settings.database))
        opened.append(Runtime(settings, db, ManualClock(NOW), Keyring(bytes(range(32)))))
        return opened[-1]

    yield make
    for rt in opened:
        await rt.db.close()


@pytest.fixture
def rt(make_runtime: Callable[..., Runtime]) -> Runtime:
    return make_runtime()


@pytest.fixture
def hits() -> HitBuffer:
    return HitBuffer(capacity=100)


@pytest.fixture(scope="session")
def all_routes() -> Litestar:
    return made_once()[0]


@pytest.fixture
def app(rt: Runtime, hits: HitBuffer) -> Litestar:
    return create_app(rt, hits)


@pytest.fixture
def visit() -> Callable[[Runtime], httpx.AsyncClient]:
    """Another visitor, of this runtime: that of the last call is the one that answers."""

    def visitor(rt: Runtime) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(create_app(rt, HitBuffer()), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025")

    return visitor


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the app in the test's own loop, where its database connections live."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8025") as opened:
        yield opened


@pytest.fixture
def key(rt: Runtime) -> Callable[[Scope, Role], Awaitable[dict[str, str]]]:
    """Makes an API key of the role; the headers that a program sends with it."""

    async def make(scope: Scope, role: Role) -> dict[str, str]:
        async with rt.db.write(scope) as tx:
            made = await api_keys.create(tx, scope, name=f"{role} key", role=role, now=rt.clock.now())
        return {"Authorization": f"Bearer {made.token}"}

    return make


@pytest.fixture
def tenant(rt: Runtime, password_hash: str) -> Callable[[str], Awaitable[Sent]]:
    """Adds a tenant with everything that one sent message needs; called with its slug."""

    async def make(slug: str) -> Sent:
        email = f"owner@{slug}.test"
        async with rt.db.write(INSTANCE) as tx:
            row = await create_owned_tenant(
                tx,
                INSTANCE,
                details=check_tenant(name=f"{slug} & <Co>", country="DE", postal_address="1 Road", slug=slug),
                email=email,
                password_hash=password_hash,
                now=NOW,
            )
            return await fill(tx, Scope(TenantId(row.id or 0), actor="test"), slug, email)

    return make


@pytest.fixture
async def acme(tenant: Callable[[str], Awaitable[Sent]]) -> Sent:
    return await tenant("acme")


@pytest.fixture
async def post_office(rt: Runtime, acme: Any) -> None:
    """The installation can send mail: the oldest tenant has a verified domain."""
    async with rt.db.write(acme.scope) as tx:
        tx.add(
            SendingDomain(
                tenant_id=acme.scope.tenant_id,
                domain="acme.test",
                created_at=rt.clock.now(),
                verified_at=rt.clock.now(),
            )
        )


@pytest.fixture
async def other(tenant: Callable[[str], Awaitable[Sent]]) -> Sent:
    """The tenant whose rows `acme` must never see."""
    return await tenant("other")


async def fill(tx: Any, scope: Scope, slug: str, email: str) -> Sent:
    """A contact on a list, a template, and a campaign that was sent to them."""
    at = {"created_at": NOW, "updated_at": NOW}

    async def add(row: SQLModel) -> int:
        tx.add(row)
        await tx.flush()
        return int(getattr(row, "id", 0) or 0)

    tenant_id = int(scope.tenant_id)
    address = f"ann@{slug}.test"
    contact = await add(
        Contact(tenant_id=tenant_id, email=address, email_key=address, first_name="Ann <b>", **at)
    )
    list_id = await add(ContactList(tenant_id=tenant_id, name=f"{slug} customers", created_at=NOW))
    await add(ListMember(tenant_id=tenant_id, list_id=list_id, contact_id=contact, joined_at=NOW))
    template = await add(Template(tenant_id=tenant_id, name=f"{slug} letter", **at))
    await add(
        TemplateVersion(
            tenant_id=tenant_id,
            template_id=template,
            version=1,
            source=HTML,
            html=HTML,
            text="Hello",
            created_at=NOW,
            created_by="test",
        )
    )
    campaign = Campaign(
        tenant_id=tenant_id,
        name=f"{slug} <script>",
        state=CampaignState.SENT,
        template_id=template,
        subject="Spring",
        from_email=f"news@{slug}.test",
        list_ids=[list_id],
        launched_at=NOW,
        expanded_at=NOW,
        finished_at=NOW,
        **at,
    )
    campaign_id = await add(campaign)
    campaign.snapshot_id = await add(
        Snapshot(
            tenant_id=tenant_id,
            campaign_id=campaign_id,
            subject="Spring",
            from_name="",
            from_email=f"news@{slug}.test",
            html=HTML,
            text="Hello",
            links=LINKS,
            created_at=NOW,
            settings={"organisation": slug, "postal_address": "1 Road"},
        )
    )
    await add(CampaignTotals(campaign_id=campaign_id, tenant_id=tenant_id, tasks=1, sent=1))
    task = await add(
        EmailTask(
            tenant_id=tenant_id,
            campaign_id=campaign_id,
            contact_id=contact,
            email=address,
            status=TaskStatus.SENT,
            scheduled_at=NOW,
            finished_at=NOW,
            external_msg_id="250 ok",
        )
    )
    return Sent(scope, email, 0, contact, list_id, template, campaign_id, task)


@dataclass(frozen=True, slots=True)
class Served:
    """The app on a real port."""

    url: str
    rt: Runtime
    hits: HitBuffer
    stopping: asyncio.Event


@pytest.fixture
async def served(
    request: pytest.FixtureRequest, make_runtime: Callable[..., Runtime], tmp_path: Path
) -> AsyncIterator[Served]:
    """With the sections of settings that a test gives as its parameter."""
    bound, stopping = listener(), asyncio.Event()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    sections = getattr(request, "param", {})
    rt = make_runtime(web={"base_url": url}, catcher={"maildir": tmp_path / "caught"}, **sections)
    async with serving(rt, bound, stopping) as hits:
        yield Served(url, rt, hits, stopping)


async def sending_campaign(rt: Runtime, sent: Sent, recipients: int) -> None:
    """Make the tenant's campaign one that is being sent to so many; the first has it already."""
    contacts = [
        {
            "tenant_id": int(sent.scope.tenant_id),
            "email": f"r{number}@x.test",
            "email_key": f"r{number}@x.test",
        }
        | {"created_at": NOW, "updated_at": NOW}
        for number in range(1, recipients)
    ]
    async with rt.db.write(INSTANCE) as tx:
        ids = (await tx.scalars(sa.insert(Contact).returning(col(Contact.id)), contacts)).all()
        tasks = [
            {
                "tenant_id": int(sent.scope.tenant_id),
                "campaign_id": sent.campaign_id,
                "contact_id": contact_id,
            }
            | {"email": "r@x.test", "status": TaskStatus.QUEUED, "scheduled_at": NOW}
            for contact_id in ids
        ]
        await tx.execute(sa.insert(EmailTask), tasks)
        await tx.execute(
            sa.update(Campaign)
            .where(col(Campaign.id) == sent.campaign_id)
            .values(state=CampaignState.SENDING, finished_at=None)
        )
        await tx.execute(
            sa.update(CampaignTotals)
            .where(col(CampaignTotals.campaign_id) == sent.campaign_id)
            .values(tasks=recipients)
        )


async def send_some(rt: Runtime, sent: Sent, count: int) -> None:
    """What a worker writes when the server accepted the next `count` messages."""
    due = (
        sa.select(col(EmailTask.id))
        .where(col(EmailTask.campaign_id) == sent.campaign_id, col(EmailTask.status) == TaskStatus.QUEUED)
        .limit(count)
    )
    async with rt.db.write(INSTANCE) as tx:
        await tx.execute(
            sa.update(EmailTask)
            .where(col(EmailTask.id).in_(due))
            .values(status=TaskStatus.SENT, finished_at=NOW, external_msg_id="250 ok")
        )
        await tx.execute(
            sa.update(CampaignTotals)
            .where(col(CampaignTotals.campaign_id) == sent.campaign_id)
            .values(sent=col(CampaignTotals.sent) + count)
        )


@pytest.fixture
def under_way() -> Callable[[Runtime, Sent, int], Awaitable[None]]:
    return sending_campaign


@pytest.fixture
def accept() -> Callable[[Runtime, Sent, int], Awaitable[None]]:
    return send_some
