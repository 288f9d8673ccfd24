"""An installation for tests of the domain: a database with the tenancy guard on, and tenants in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from support.tenancy_guard import attach

INSTANCE = InstanceScope("test")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEYRING = Keyring(bytes(range(32)))


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Both engines on a database, guarded; closed at the end."""
    db = attach(Database(url, DatabaseSettings()))
    try:
        yield db
    finally:
        await db.close()


async def add_tenant(db: Database, name: str = "Acme") -> Scope:
    """A new tenant, seen with every grant."""
    async with db.write(INSTANCE) as tx:
        tenant = await create_tenant(
            tx, INSTANCE, name=name, country="DE", postal_address="Street 1, 10115 Berlin", now=NOW
        )
    return scope_in(tenant, INSTANCE)
