# ruff: noqa: E501  (SQL in lines of its own reads best)
"""How long it takes to count segments over a million contacts and ten million events (issue 4). The rows are made by the database itself; indexes are built after them."""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.contacts import activity
from mailengine.domain.contacts.segments import find
from mailengine.domain.contacts.segments.parse import parse
from mailengine.migrations.run import upgrade
from mailengine.models import Contact, ContactTag, EmailEvent, EmailTask, ListMember
from peers import shared
from peers.postgres import Postgres

INSTANCE = InstanceScope("bench")
CAMPAIGNS, SENT = 10, 2  # of those that were opened, so many have their messages in the ledger
TWO_YEARS = 2 * 365 * 86_400
CATALOGUE = (
    "everyone",
    "tag = vip",
    "tag = vip and country in (DE, AT) and not opened within 90 days",
    "list = Customers and not tag in (vip, gold)",
    "country = DE",
    "country in (DE, AT) and plan = pro",
    "age >= 30 and age < 40",
    "born < 1980-01-01 or born is empty",
    "city contains burg and not first_name is empty",
    "domain = example7.org",
    "created_at within 30 days and consent_source is not empty",
    "not opened within 90 days",
    "opened within 30 days and not clicked",
    "opened at least 10 times",
    "clicked at least 3 times within 30 days",
    'opened campaign "Campaign 1" and not clicked campaign "Campaign 1"',
    "received within 90 days and not opened",
    'received campaign "Campaign 2"',
    "bounced or state in (bounced, complained)",
    "(tag = gold or age > 60) and (country = DE or not opened within 180 days) and not list is empty",
)


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for the slowest segment of each database, and one for each segment."""
    contacts = 50_000 if quick else 1_000_000
    rows: list[dict[str, Any]] = []
    with sqlite_url() as url:
        rows += asyncio.run(measure(url, contacts, "SQLite"))
    shared_run = shared.open_run()
    try:
        postgres = Postgres()
        with contextlib.closing(postgres), postgres.copy() as copy:
            rows += asyncio.run(measure(copy.dsn, contacts, "PostgreSQL"))
    finally:
        shared.close_run(shared_run)
    return rows


@contextlib.contextmanager
def sqlite_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        asyncio.run(upgrade(url, DatabaseSettings()))
        yield url


async def tenant_in(db: Database) -> Scope:
    async with db.write(INSTANCE) as tx:
        made = await create_tenant(
            tx, INSTANCE, name="Bench", country="DE", postal_address="x", now=SystemClock().now()
        )
    return scope_in(made, INSTANCE)


async def measure(url: str, contacts: int, system: str) -> list[dict[str, Any]]:
    db = Database(url, DatabaseSettings())
    try:
        scope = await tenant_in(db)
        await fill(db, scope, contacts)
        baseline = await seconds(db, scope, None)
        measured = {text: await seconds(db, scope, text) for text in CATALOGUE}
    finally:
        await db.close()
    slowest = max(measured, key=lambda text: measured[text])
    total = f"{contacts:,} contacts, {contacts * 10:,} events, {system}"
    return [
        _row(f"slowest segment ({total}): {slowest}", measured[slowest], baseline),
        *(_row(f"  {text}", took, baseline) for text, took in measured.items()),
    ]


def _row(name: str, took: float, baseline: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(took, 3),
        "unit": "s",
        "baseline": round(baseline, 3),
        "ratio": round(took / baseline, 1),
        "baseline_name": "count(*) of the contacts",
    }


async def seconds(db: Database, scope: Scope, text: str | None) -> float:
    """The median of three; the first reads what is not in memory yet."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        async with db.read(scope) as tx:
            if text is None:
                await tx.scalar(sa.select(sa.func.count(table_of(Contact).c.email)))
            rule = await find.checked(tx, scope, parse(text)) if text is not None else None
        if rule is not None:
            await find.live_count(db, scope, rule, now=SystemClock().now())
        times.append(time.perf_counter() - started)
    return statistics.median(times)


async def fill(db: Database, scope: Scope, contacts: int, *, history: bool = True) -> None:
    """All rows, then their indexes, then the sums; without `history` nobody was ever mailed."""
    made = {"tenant": scope.tenant_id, "contacts": contacts, "events": contacts * 10}
    async with without_indexes(db, Contact, ContactTag, ListMember, EmailTask, EmailEvent):
        for statement in statements(db.postgres, history=history):
            async with db.write(INSTANCE) as tx:
                await tx.execute(sa.text(statement), made if ":" in statement.replace("::", "") else {})
    while await activity.sum_events(db, INSTANCE, page=500_000):
        await vacuum(db, "contact_activity")
    for _campaign in range(CAMPAIGNS):  # nothing is left of one, and the next call begins with another
        while await activity.sum_tasks(db, INSTANCE, page=500_000):
            await vacuum(db, "contact_activity")
    await vacuum(db)


async def vacuum(db: Database, table: str = "") -> None:
    """What autovacuum does some time after much was written; without it sums that are changed twenty times would take
    six times their room."""
    if not db.postgres:
        return
    engine = db.writer.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"VACUUM ANALYZE {table}")


@asynccontextmanager
async def without_indexes(db: Database, *models: Any) -> AsyncIterator[None]:
    indexes = [index for model in models for index in table_of(model).indexes]
    async with db.write(INSTANCE) as tx:
        connection = await tx.connection()
        for index in indexes:
            await connection.run_sync(partial(index.drop, checkfirst=True))
    yield
    for index in indexes:
        async with db.write(INSTANCE) as tx:
            connection = await tx.connection()
            await connection.run_sync(index.create)


def statements(postgres: bool, *, history: bool = True) -> Iterator[str]:
    """Numbers are scattered by multiplying with primes: the same rows each time, in no order."""

    def series(count: str) -> str:
        if postgres:
            return f"(SELECT i FROM generate_series(1, cast(:{count} AS bigint)) AS i) AS n"
        return f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :{count}) SELECT i FROM n) AS n"

    def ago(secs: str) -> str:
        if postgres:
            return f"now() - ({secs}) * interval '1 second'"
        return f"strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || ({secs}) || ' seconds')"

    def pick(key: str, *words: str) -> str:
        cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
        return f"CASE ({key}) % {len(words)} {cases} END"

    def scattered(prime: int, modulus: int, of: str = "i") -> str:
        return f"(({of}) * {prime} % 1000003) % {modulus}"

    json = "::jsonb" if postgres else ""
    object_ = (
        "'{\"country\": \"' || " + pick(scattered(7919, 10), "DE", "AT", "CH", "FR", "IT", "ES", "PL", "NL", "BE", "SE")
        + " || '\", \"plan\": \"' || " + pick(scattered(104729, 3), "free", "pro", "team")
        + " || '\", \"city\": \"' || " + pick(scattered(15485863, 5), "Berlin", "Hamburg", "Wien", "Paris", "Bern")
        + " || '\", \"age\": ' || (18 + " + scattered(611953, 70) + ") || ', \"born\": \"' || (1940 + "
        + scattered(350377, 60) + ") || '-05-17\"}'"
    )  # fmt: skip
    yield (
        "INSERT INTO attributes (tenant_id, name, label, kind) VALUES "
        + ", ".join(
            f"({{}}, '{name}', '{name}', '{kind}')".format(":tenant")
            for name, kind in
            (("country", "text"), ("plan", "text"), ("city", "text"), ("age", "number"), ("born", "date"))
        )
    )  # fmt: skip
    yield (
        "INSERT INTO contacts (id, tenant_id, email, email_key, first_name, last_name, state, attributes,"
        " consent_source, consent_ip, created_at, updated_at)"
        " SELECT i, :tenant, 'p' || i || '@example' || (i % 300) || '.org', 'p' || i || '@example' || (i % 300) || '.org',"
        f" {pick('i', 'Jürgen', 'Ann', '', 'Åse')}, 'Müller ' || i,"
        f" CASE WHEN i % 20 = 0 THEN 'unsubscribed' WHEN i % 33 = 0 THEN 'bounced' ELSE 'subscribed' END,"
        f" ({object_}){json}, 'import of contacts.csv', '', {ago(scattered(7919, 1000) + f' * {TWO_YEARS // 1000}')}, {ago('0')}"
        f" FROM {series('contacts')}"
    )
    yield f"INSERT INTO tags (id, tenant_id, name, key, created_at) SELECT i, :tenant, {pick('i', 'gold', 'vip')}, {pick('i', 'gold', 'vip')}, {ago('0')} FROM (SELECT 1 AS i UNION SELECT 2) AS n"
    yield f"INSERT INTO contact_tags (tag_id, contact_id, tenant_id) SELECT 1, i, :tenant FROM {series('contacts')} WHERE {scattered(7919, 20)} = 3"
    yield f"INSERT INTO contact_tags (tag_id, contact_id, tenant_id) SELECT 2, i, :tenant FROM {series('contacts')} WHERE {scattered(104729, 5)} = 1"
    yield f"INSERT INTO lists (id, tenant_id, name, created_at) VALUES (1, :tenant, 'Customers', {ago('0')})"
    yield f"INSERT INTO list_members (list_id, contact_id, tenant_id, state, joined_at) SELECT 1, i, :tenant, 'subscribed', {ago('0')} FROM {series('contacts')} WHERE i % 5 > 0"
    if not history:
        return
    yield f"INSERT INTO templates (id, tenant_id, name, category, version, created_at, updated_at) VALUES (1, :tenant, 'x', '', 1, {ago('0')}, {ago('0')})"
    yield (
        "INSERT INTO campaigns (id, tenant_id, name, state, template_id, subject, from_name, from_email, reply_to, list_ids,"
        " segment_ids, excluded_list_ids, excluded_segment_ids, audience_rules, track_opens, track_clicks, expand_cursor,"
        " launched_at, finished_at, created_at, updated_at)"
        f" SELECT i, :tenant, 'Campaign ' || i, 'sent', 1, 'x', '', 'a@example.org', '', '[]'{json}, '[]'{json}, '[]'{json},"
        f" '[]'{json}, '{{}}'{json}, true, true, 0, {ago('86400 * 60 * i')}, {ago('86400 * 60 * i')}, {ago('0')}, {ago('0')}"
        f" FROM (SELECT i FROM {series('contacts')} LIMIT {CAMPAIGNS}) AS few"
    )
    for campaign in range(1, SENT + 1):
        yield (
            "INSERT INTO email_tasks (tenant_id, campaign_id, contact_id, email, status, scheduled_at, attempts, last_reply,"
            f" external_msg_id, finished_at) SELECT :tenant, {campaign}, i, 'p' || i || '@example.org',"
            f" CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'sent' END, {ago('0')}, 1, '', 'ok', {ago(f'86400 * 60 * {campaign}')}"
            f" FROM {series('contacts')}"
        )
    yield (
        "INSERT INTO dead_letters (tenant_id, task_id, campaign_id, contact_id, email, cause, code, enhanced, reply, attempts, at)"
        " SELECT :tenant, id, campaign_id, contact_id, email, 'recipient', 550, '', 'no', 1, finished_at FROM email_tasks"
        " WHERE status = 'failed' AND tenant_id = :tenant"
    )
    yield (
        "INSERT INTO email_events (uid, tenant_id, task_id, campaign_id, contact_id, kind, at, ip, user_agent)"
        f" SELECT 'u' || i, :tenant, i, 1 + {scattered(7919, CAMPAIGNS)}, 1 + (i * 48271 % 2147483647) % :contacts,"
        f" CASE WHEN i % 4 = 0 THEN 'click' ELSE 'open' END, {ago(scattered(104729, 1000000) + f' * {TWO_YEARS // 1000000}')},"
        f" '', 'Mozilla/5.0' FROM {series('events')}"
    )


if __name__ == "__main__":
    for row in run(quick=True):
        print(row)
