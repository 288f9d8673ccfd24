"""Which statements the tenancy check lets pass."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import UnscopedStatement, check_statement, owned, tenant_of
from mailengine.models import Contact, KillSwitch, ListMember, Relay, Tenant

SCOPE = Scope(TenantId(1), "test")

GOOD = [
    owned(Relay, SCOPE),
    owned(Relay, SCOPE).where(col(Relay.name) == "main").limit(1),
    sa.select(sa.func.count()).select_from(owned(Contact, SCOPE).subquery()),
    sa.select(col(Contact.id)).where(tenant_of(Contact) == 1),
    sa.update(Relay).where(tenant_of(Relay) == 1).values(name="x"),
    sa.delete(Relay).where(tenant_of(Relay) == 1),
    sa.select(Tenant),
    sa.select(KillSwitch),
    sa.insert(Relay).values(tenant_id=1),
    sa.text("SELECT 1"),
]
BAD = [
    sa.select(Relay),
    sa.select(col(Contact.id)).where(col(Contact.email) == "a"),
    sa.select(sa.func.count()).select_from(Contact),
    sa.update(Relay).values(name="x"),
    sa.delete(Relay).where(col(Relay.id) == 1),
    sa.select(Tenant).join(Relay, col(Relay.id) == col(Tenant.id)),
    sa.select(Tenant).where(sa.exists(sa.select(ListMember))),
]


@pytest.mark.parametrize("statement", GOOD, ids=str)
def test_what_names_the_tenant_passes(statement: Any) -> None:
    check_statement(statement, SCOPE)


@pytest.mark.parametrize("statement", BAD, ids=str)
def test_what_does_not_is_caught(statement: Any) -> None:
    with pytest.raises(UnscopedStatement, match="no tenant predicate"):
        check_statement(statement, SCOPE)
    check_statement(statement, InstanceScope("test"))
