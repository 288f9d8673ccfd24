"""What is kept for a limited time only: the traces in a tenant's events, its audit entries, expired logins of
everybody. Figures of a campaign do not change: of an event only who and from where is dropped."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import SQLModel

from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.contacts.upkeep import Rules
from mailengine.models import AuditEntry, EmailEvent, WebSession

_PAGE = 5000


async def drop_old(
    db: Database, scope: Scope, rules: Rules, *, now: datetime
) -> AsyncGenerator[Mapping[str, int]]:
    """Delete events and audit entries that are too old, a few thousand a transaction.

    Of an old event what tells of a person goes first and foremost: the row itself is a figure of its campaign, and
    stays with nothing but what was done when.
    """
    if rules.keep_events_days is not None:
        before = now - timedelta(days=rules.keep_events_days)
        while count := await _strip_events(db, scope, before):
            yield {"events": count}
    if rules.keep_audit_days is not None:
        before = now - timedelta(days=rules.keep_audit_days)
        while count := await _delete(db, scope, AuditEntry, before):
            yield {"audit": count}


async def drop_sessions(tx: WriteTx, _instance: InstanceScope, *, now: datetime) -> int:
    """Logins that have expired."""
    connection = await tx.connection()
    sessions = table_of(WebSession)
    return (await connection.execute(sa.delete(sessions).where(sessions.c.expires_at < now))).rowcount


async def _strip_events(db: Database, scope: Scope, before: datetime) -> int:
    table = table_of(EmailEvent)
    old = (
        sa.select(table.c.id)
        .where(
            table.c.tenant_id == scope.tenant_id,
            table.c.at < before,
            sa.or_(table.c.ip != "", table.c.user_agent != ""),
        )
        .limit(_PAGE)
    )
    async with db.write(scope) as tx:
        connection = await tx.connection()
        stripped = sa.update(table).where(table.c.tenant_id == scope.tenant_id, table.c.id.in_(old))
        return (await connection.execute(stripped.values(ip="", user_agent=""))).rowcount


async def _delete(db: Database, scope: Scope, model: type[SQLModel], before: datetime) -> int:
    table = table_of(model)
    old = sa.select(table.c.id).where(table.c.tenant_id == scope.tenant_id, table.c.at < before).limit(_PAGE)
    async with db.write(scope) as tx:
        connection = await tx.connection()
        gone = sa.delete(table).where(table.c.tenant_id == scope.tenant_id, table.c.id.in_(old))
        return (await connection.execute(gone)).rowcount
