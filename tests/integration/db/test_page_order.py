"""A page of a tenant's rows is read in their order. SQLite guesses that a tenant has ten, and would sort them all."""

import pytest
from sqlmodel import SQLModel, col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts.lists import present
from mailengine.models import (
    AuditEntry,
    Campaign,
    DeadLetter,
    Job,
    Message,
    Segment,
    SignupForm,
    Suppression,
    Template,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    return sqlite_dsn


async def test_no_page_sorts_what_it_does_not_show(db: Database, scope: Scope) -> None:
    models: list[type[SQLModel]] = [AuditEntry, DeadLetter, Job, Message, Segment, SignupForm, Suppression]
    queries = [owned(model, scope) for model in models] + [present(scope)]
    queries += [owned(model, scope).where(col(model.deleted_at).is_(None)) for model in (Campaign, Template)]
    for query in queries:
        table = query.get_final_froms()[0]
        page = query.order_by(table.c.id.desc()).limit(51)
        text = str(page.compile(db.reader.sync_engine, compile_kwargs={"literal_binds": True}))
        async with db.read(scope) as tx:
            rows = await (await tx.connection()).exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
            plan = " | ".join(str(row[3]) for row in rows)
        assert "SEARCH" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
