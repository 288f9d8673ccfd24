"""Tenants: made, found, listed page by page, chosen by a command; and the audit log's own rule."""

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.tenants import cli_scope, find_tenant, get_tenant, list_tenants
from mailengine.models import AuditEntry
from support.house import INSTANCE, NOW, add_tenant

pytestmark = pytest.mark.anyio


async def test_the_only_tenant_needs_no_name(db: Database, scope: Scope) -> None:
    async with db.read(INSTANCE) as tx:
        assert await cli_scope(tx, INSTANCE, slug=None) == scope
        assert await cli_scope(tx, INSTANCE, slug="acme") == scope
        assert (await find_tenant(tx, INSTANCE, slug="acme")).postal_address == "Street 1, 10115 Berlin"
        with pytest.raises(NotFound, match="nobody"):
            await cli_scope(tx, INSTANCE, slug="nobody")
    async with db.read(scope) as tx:
        assert (await get_tenant(tx, scope)).slug == "acme"


async def test_of_several_tenants_one_must_be_named(db: Database, scope: Scope, other: Scope) -> None:
    async with db.read(INSTANCE) as tx:
        with pytest.raises(Conflict, match="--tenant: acme, other"):
            await cli_scope(tx, INSTANCE, slug=None)


async def test_without_a_tenant_the_way_to_one_is_said(db: Database) -> None:
    async with db.read(INSTANCE) as tx:
        with pytest.raises(NotFound, match="mailengine init"):
            await cli_scope(tx, INSTANCE, slug=None)


async def test_a_slug_is_taken_once(db: Database, scope: Scope) -> None:
    with pytest.raises(Conflict, match="--slug"):
        await add_tenant(db, "ACME!")


async def test_tenants_are_listed_page_by_page(db: Database) -> None:
    for name in ("Delta", "Alpha", "Echo", "Bravo", "Charlie"):
        await add_tenant(db, name)
    seen: list[str] = []
    request: PageRequest | None = PageRequest(limit=2)
    async with db.read(INSTANCE) as tx:
        while request is not None:
            page = await list_tenants(tx, INSTANCE, request=request)
            assert page.total == 5
            seen += [tenant.slug for tenant in page.items]
            request = PageRequest(limit=2, cursor=page.next) if page.next else None
        with pytest.raises(InvalidInput, match="cursor"):
            await list_tenants(tx, INSTANCE, request=PageRequest(cursor="nonsense"))
    assert seen == ["alpha", "bravo", "charlie", "delta", "echo"]


@pytest.mark.parametrize(
    "details",
    [
        {"who": "ann@example.org"},
        {"rows": [1, "ann@example.org"]},
        {"nested": {"ann@example.org": 1}},
    ],
)
async def test_no_address_enters_the_audit_log(
    db: Database, scope: Scope, details: dict[str, object]
) -> None:
    with pytest.raises(audit.AddressInAudit):
        async with db.write(scope) as tx:
            await audit.record(tx, scope, "contact.delete", "contact", 1, now=NOW, **details)
    async with db.read(scope) as tx:
        actions = await tx.scalars(
            sa.select(col(AuditEntry.action)).where(col(AuditEntry.tenant_id) == scope.tenant_id)
        )
        assert list(actions) == ["tenant.create"]
