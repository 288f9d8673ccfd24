"""Keeping the index current, after the fact: triggers write down whose contact changed (`search_queue`), the
scheduler brings the index there, and until then whoever searches looks through the queue as well
(`search.candidates`). So an import pays one row of two numbers for each contact, and nothing waits for it.

On SQLite the index is FTS5 with its trigram tokenizer, which finds the middle of an address as well as its
beginning, as PostgreSQL does. On PostgreSQL it is the trigrams' numbers in an array with a GIN index, not pg_trgm:
LIKE is not leakproof, and PostgreSQL uses no index for it under row-level security. The numbers differ by tenant.

FTS5 only marks what is deleted, until its segments are merged: contacts that were erased stay in the queue until
the merge has been through, which is done in small steps.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from mailengine.core.scope import InstanceScope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.contacts.search.grams import BREAK, grams_of, mark_of, number_of, words_of
from mailengine.models import Contact

PAGE = 2_000  # contacts a transaction: a tenth of a second of SQLite's write lock
_MOST_GONE = 20_000  # of one merge, which reads the whole index
_MERGE_PAGES = 1_000  # of 4 KiB, a transaction

FTS = sa.table("contact_search", sa.column("rowid", sa.BigInteger), sa.column("words", sa.Text))
GRAMS = sa.table(
    "contact_search", sa.column("contact_id", sa.BigInteger), sa.column("grams", ARRAY(sa.Integer))
)
QUEUE = sa.table(
    "search_queue", sa.column("tenant_id", sa.BigInteger), sa.column("contact_id", sa.BigInteger)
)


async def index_some(db: Database, instance: InstanceScope, *, page: int = PAGE) -> int:
    """Take one page of the queue into the index; returns how many contacts that were."""
    async with db.write(instance) as tx:
        rows = await _waiting(tx, page)
        if not rows:
            return 0
        await _remove(tx, [row.id for row in rows])
        await (_insert_grams(tx, rows) if tx.postgres else _insert_words(tx, rows))
        await _leave_queue(tx, [(row.tenant_id, row.id) for row in rows])
    return len(rows)


async def purge(db: Database, instance: InstanceScope, *, merge_pages: int = _MERGE_PAGES) -> int:
    """Take those who were erased out of the index, so that nothing of them is left in its pages; returns how
    many. Begins anew when it was interrupted."""
    async with db.write(instance) as tx:
        gone = await _gone(tx)
        if not gone:
            return 0
        await _remove(tx, [contact_id for _tenant, contact_id in gone])
        if tx.postgres:
            await _leave_queue(tx, gone)
            return len(gone)
        merging = await _merge(tx, -merge_pages)
    while merging:
        async with db.write(instance) as tx:
            merging = await _merge(tx, merge_pages)
    async with db.write(instance) as tx:
        await _leave_queue(tx, gone)
    return len(gone)


async def forget(tx: WriteTx, contact_ids: Collection[int]) -> None:
    """Nobody finds these any more, from this transaction on; `purge` does the rest."""
    await _remove(tx, list(contact_ids))


async def _waiting(tx: WriteTx, page: int) -> Sequence[Any]:
    """The contacts of a part of the queue, as they are now: read after their rows of the queue are locked, and so
    newer than whatever put them there. Rows that a transaction under way has written are passed by."""
    queued = sa.select(QUEUE.c.contact_id).where(_stands()).limit(page)
    ids = (await tx.scalars(queued.with_for_update(of=QUEUE, skip_locked=True))).all()
    if not ids:
        return []
    contacts = table_of(Contact).c
    columns = (contacts.tenant_id, contacts.id, contacts.email, contacts.first_name, contacts.last_name)
    return (
        await tx.execute(
            sa.select(*columns, contacts.attributes).where(contacts.id.in_(ids), contacts.erased_at.is_(None))
        )
    ).all()


def _stands() -> sa.ColumnElement[bool]:
    """The contact of this row of the queue is there and not erased. No join: without statistics PostgreSQL walks
    through the contacts, and through the whole queue for each."""
    contacts = table_of(Contact).c
    stands = (
        sa.select(contacts.erased_at.is_(None)).where(contacts.id == QUEUE.c.contact_id).scalar_subquery()
    )
    return sa.func.coalesce(stands, sa.false())


async def _gone(tx: WriteTx) -> list[tuple[int, int]]:
    query = (
        sa.select(QUEUE.c.tenant_id, QUEUE.c.contact_id)
        .where(sa.not_(_stands()))
        .limit(_MOST_GONE)
        .with_for_update(of=QUEUE, skip_locked=True)
    )
    return [(row.tenant_id, row.contact_id) for row in await tx.execute(query)]


async def _remove(tx: WriteTx, ids: list[int]) -> None:
    if tx.postgres:
        await tx.execute(sa.delete(GRAMS).where(GRAMS.c.contact_id.in_(ids)))
    else:
        await tx.execute(sa.delete(FTS).where(FTS.c.rowid.in_(ids)))


async def _insert_words(tx: WriteTx, rows: Sequence[Any]) -> None:
    values = [
        {
            "rowid": row.id,
            "words": BREAK + mark_of(row.tenant_id) + _words(row),
        }
        for row in rows
    ]
    await tx.execute(sa.insert(FTS), values)


async def _insert_grams(tx: WriteTx, rows: Sequence[Any]) -> None:
    """The arrays go as texts: a driver looks at each of their numbers by itself."""
    values = [{"contact_id": row.id, "grams": _array(row)} for row in rows]
    grams = sa.cast(sa.bindparam("grams", type_=sa.Text), ARRAY(sa.Integer))
    await tx.execute(sa.insert(GRAMS).values(contact_id=sa.bindparam("contact_id"), grams=grams), values)


def _array(row: Any) -> str:
    tenant_id = row.tenant_id
    numbers = {_number(tenant_id, gram) for gram in set(grams_of(_words(row)))}
    return "{" + ",".join(numbers) + "}"


@lru_cache(maxsize=100_000)
def _number(tenant_id: int, gram: str) -> str:
    return str(number_of(tenant_id, gram))


def _words(row: Any) -> str:
    return words_of(row.email, row.first_name, row.last_name, row.attributes)


async def _leave_queue(tx: WriteTx, pairs: Sequence[tuple[int, int]]) -> None:
    rows = [{"at": tenant_id, "who": contact_id} for tenant_id, contact_id in pairs]
    statement = sa.delete(QUEUE).where(
        QUEUE.c.tenant_id == sa.bindparam("at"), QUEUE.c.contact_id == sa.bindparam("who")
    )
    connection = await tx.connection()
    await connection.execute(statement, rows)


async def _merge(tx: WriteTx, pages: int) -> bool:
    """One step of FTS5's merge, which a negative number begins with all segments; False when there is nothing
    left to do (https://sqlite.org/fts5.html, 6.9: fewer than two changes)."""
    before = await _changes(tx)
    await tx.execute(
        sa.text("INSERT INTO contact_search(contact_search, rank) VALUES ('merge', :pages)"), {"pages": pages}
    )
    return await _changes(tx) - before >= 2


async def _changes(tx: ReadTx) -> int:
    return int(await tx.scalar(sa.text("SELECT total_changes()")) or 0)
