"""Tenants are kept apart twice: by the statements, and on PostgreSQL by the database itself."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import Scope
from mailengine.db.tenancy import UnscopedStatement, owned, owned_tables
from mailengine.db.unit import Database
from mailengine.domain.senders import relays
from mailengine.models import Relay, Tls, metadata
from support.house import INSTANCE, KEYRING, NOW, add_tenant

pytestmark = pytest.mark.anyio

DETAILS = relays.check_relay(name="main", host="127.0.0.1", port=25, tls=Tls.NONE)


async def add_relay(db: Database, scope: Scope) -> None:
    async with db.write(scope) as tx:
        await relays.add(tx, scope, details=DETAILS, keyring=KEYRING, now=NOW)


async def test_the_guard_sees_every_statement(db: Database, scope: Scope) -> None:
    await add_relay(db, scope)
    async with db.read(scope) as tx:
        assert await tx.scalar(owned(Relay, scope)) is not None
        for statement in (sa.select(Relay), sa.select(sa.func.count()).select_from(Relay)):
            with pytest.raises(UnscopedStatement):
                await tx.scalar(statement)
    async with db.write(scope) as tx:
        with pytest.raises(UnscopedStatement):
            await tx.execute(sa.delete(Relay))
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(Relay)) == 1


async def test_a_read_transaction_cannot_write(db: Database, scope: Scope) -> None:
    if db.postgres:
        pytest.skip("one pool serves both on PostgreSQL")
    async with db.reader.connect() as connection:
        with pytest.raises(DBAPIError, match="readonly"):
            await connection.execute(sa.text("DELETE FROM relays"))


@pytest.fixture
async def bare(postgres_dsn: str) -> Database:
    """PostgreSQL without the guard: what is tested is the database."""
    return Database(postgres_dsn, DatabaseSettings())


async def test_postgresql_hides_other_tenants_rows_from_raw_sql(bare: Database) -> None:
    mine, theirs = await add_tenant(bare, "Mine"), await add_tenant(bare, "Theirs")
    await add_relay(bare, mine)
    await add_relay(bare, theirs)
    seen = sa.text("SELECT tenant_id FROM relays ORDER BY tenant_id")
    async with bare.read(mine) as tx:
        assert list(await tx.scalars(seen)) == [mine.tenant_id]
    async with bare.read(INSTANCE) as tx:
        assert list(await tx.scalars(seen)) == [mine.tenant_id, theirs.tenant_id]
    async with bare.reader.connect() as connection:  # nobody said for whom: nothing is seen
        assert list(await connection.scalars(seen)) == []
    async with bare.write(mine) as tx:
        await tx.execute(sa.text("UPDATE relays SET name = 'taken over'"))
        await tx.execute(sa.text("DELETE FROM audit_log"))
    async with bare.read(theirs) as tx:
        assert list(await tx.scalars(sa.text("SELECT name FROM relays"))) == ["main"]
        assert await tx.scalar(sa.text("SELECT count(*) FROM audit_log")) == 2
    await bare.close()


async def test_postgresql_refuses_rows_for_another_tenant(bare: Database) -> None:
    mine, theirs = await add_tenant(bare, "Mine"), await add_tenant(bare, "Theirs")
    await add_relay(bare, mine)
    for statement in (
        "INSERT INTO lists (tenant_id, name, created_at) VALUES (:tenant, 'x', now())",
        "UPDATE relays SET tenant_id = :tenant",
    ):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with bare.write(mine) as tx:
                await tx.execute(sa.text(statement), {"tenant": theirs.tenant_id})
    await bare.close()


async def test_no_policy_asks_for_the_tenant_once_a_row(bare: Database) -> None:
    """Each subquery is an InitPlan; what is compared with each row is what it found."""
    mine = await add_tenant(bare, "Mine")
    async with bare.read(mine) as tx:
        policies = (await tx.execute(sa.text("SELECT tablename, qual, with_check FROM pg_policies"))).all()
        plan = "\n".join(await tx.scalars(sa.text("EXPLAIN SELECT name FROM relays")))
    assert len(policies) == len(owned_tables(metadata)) + 1
    assert {(row.qual, row.with_check) for row in policies} == {(policies[0].qual, policies[0].qual)}
    assert plan.count("InitPlan") == 2
    assert "current_setting" not in next(line for line in plan.splitlines() if "Filter" in line)
    await bare.close()


async def test_every_owned_table_has_its_policy(bare: Database) -> None:
    async with bare.reader.connect() as connection:
        rows = await connection.scalars(
            sa.text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
        )
        protected = set(rows)
    assert protected == {table.name for table in owned_tables(metadata)} | {"search_queue"}
    await bare.close()
