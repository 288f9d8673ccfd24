"""Batches on SQLite: few statements with many rows each.

`executemany` takes the interpreter lock again for every row and so stops the thread that parses the next
batch; one statement for many rows runs without it. New contacts are bound one by one, which takes SQLite 60 % of
the time of cutting the same rows out of a JSON text; ids alone come as a JSON array. The write lock is held since
BEGIN IMMEDIATE, so nobody else can insert: ids are given here, and no row has to be read back.

SQLite has no statistics of json_each and may put it into the inner loop, which reads the batch once for every
contact: CROSS JOIN keeps the order as written, `+column` keeps an index from being used.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts.imports.plan import Known, Step
from mailengine.models import ContactState

_KNOWN = """
SELECT c.email_key, c.id, c.email, c.first_name, c.last_name, c.attributes,
       c.consent_source, c.consent_at, c.consent_ip, c.state, c.deleted_at, m.state
FROM json_each(?1) AS wanted
CROSS JOIN contacts AS c ON c.tenant_id = ?2 AND c.email_key = wanted.value
LEFT JOIN list_members AS m ON m.list_id = ?3 AND m.contact_id = c.id AND m.tenant_id = ?2
"""
_INSERT = """
INSERT INTO contacts (id, tenant_id, email, email_key, first_name, last_name, state, attributes,
                      consent_source, consent_at, consent_ip, created_at, updated_at)
SELECT column1, ?1, column2, column3, column4, column5, column6, column7, column8, column9, column10, ?2, ?2
FROM (VALUES {})
"""
_INSERT_ROWS = 1000  # a statement: ten parameters each, and SQLite takes 32,766
_UPDATE = """
UPDATE contacts SET email = new.email, first_name = new.first_name, last_name = new.last_name,
       attributes = new.attributes, consent_source = new.consent_source, consent_at = new.consent_at,
       consent_ip = new.consent_ip, updated_at = ?1, deleted_at = NULL
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS email,
             json_extract(value, '$[2]') AS first_name, json_extract(value, '$[3]') AS last_name,
             json_extract(value, '$[4]') AS attributes, json_extract(value, '$[5]') AS consent_source,
             json_extract(value, '$[6]') AS consent_at, json_extract(value, '$[7]') AS consent_ip
      FROM json_each(?2)) AS new
WHERE contacts.id = new.id AND +contacts.tenant_id = ?3
"""
_JOIN = """
INSERT INTO list_members (list_id, contact_id, tenant_id, state, joined_at)
SELECT ?1, value, ?2, ?3, ?4 FROM json_each(?5) WHERE true ON CONFLICT DO NOTHING
"""
_TAG = """
INSERT INTO contact_tags (tag_id, contact_id, tenant_id)
SELECT ?1, value, ?2 FROM json_each(?3) WHERE true ON CONFLICT DO NOTHING
"""
_NEW = " RETURNING tag_id, contact_id"


async def read_known(
    tx: ReadTx, scope: Scope, keys: Sequence[str], *, list_id: int | None, lock: bool
) -> dict[str, Known]:
    """Stored contacts by address key; `lock` needs nothing here, the transaction has the write lock."""
    connection = await tx.connection()
    rows: Any = await connection.exec_driver_sql(_KNOWN, (_json(keys), scope.tenant_id, list_id))
    return {
        row[0]: Known(
            row[1],
            row[2],
            row[3],
            row[4],
            msgspec.json.decode(row[5]),
            (row[6], _moment(row[7]), row[8]),
            row[9],
            row[10] is not None,
            row[11],
        )
        for row in rows
    }


async def insert(
    tx: WriteTx, scope: Scope, steps: Sequence[Step], states: Sequence[ContactState], now: datetime
) -> list[tuple[int, Step]]:
    """Store new contacts; returns their ids. `states` goes with `steps`."""
    connection = await tx.connection()
    given = await connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'contacts'")
    first_id = (given.scalar() or 0) + 1
    for start in range(0, len(steps), _INSERT_ROWS):
        chunk = steps[start : start + _INSERT_ROWS]
        values: list[object] = [scope.tenant_id, _text(now)]
        for number, (step, state) in enumerate(zip(chunk, states[start:], strict=False), first_id + start):
            email, first, last, attributes, (source, at, address) = step.profile
            when, kept = None if at is None else _text(at), _json(attributes)
            # state.value: for a class below str the driver looks for an adapter, which takes as long as binding it.
            values += (number, email, step.row.key, first, last, state.value, kept, source, when, address)
        await connection.exec_driver_sql(_insert(len(chunk)), tuple(values))
    return list(enumerate(steps, first_id))


@lru_cache(4)  # the one for full chunks stays
def _insert(rows: int) -> str:
    return _INSERT.format(
        ", ".join(
            f"({', '.join(f'?{3 + 10 * row + column}' for column in range(10))})" for row in range(rows)
        )
    )


async def update(tx: WriteTx, scope: Scope, steps: Sequence[Step], now: datetime) -> None:
    """Store changed profiles; deleted contacts come back."""
    rows = []
    for step in steps:
        assert step.known is not None
        profile = step.profile
        source, at, address = profile.consent
        moment = None if at is None else _text(at)
        rows.append((step.known.id, *profile[:4], source, moment, address))
    connection = await tx.connection()
    await connection.exec_driver_sql(_UPDATE, (_text(now), _json(rows), scope.tenant_id))


async def join_list(
    tx: WriteTx, scope: Scope, members: Mapping[str, Sequence[int]], *, list_id: int, now: datetime
) -> None:
    """Add contacts, by their state on the list; who is or was on it stays as they are."""
    connection = await tx.connection()
    for state, ids in members.items():
        values = (list_id, scope.tenant_id, state, _text(now), _json(ids))
        await connection.exec_driver_sql(_JOIN, values)


async def tag(tx: WriteTx, scope: Scope, tagged: Mapping[int, Sequence[int]]) -> None:
    """Tag contacts: tag id → contact ids."""
    connection = await tx.connection()
    for tag_id, ids in tagged.items():
        await connection.exec_driver_sql(_TAG, (tag_id, scope.tenant_id, _json(ids)))


async def tag_known(tx: WriteTx, scope: Scope, tagged: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """`tag`, and which pairs of tag and contact are new."""
    connection = await tx.connection()
    new: list[tuple[int, int]] = []
    for tag_id, ids in tagged.items():
        rows: Any = await connection.exec_driver_sql(_TAG + _NEW, (tag_id, scope.tenant_id, _json(ids)))
        new += [(row[0], row[1]) for row in rows]
    return new


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@lru_cache(1024)  # most rows of a file have the moment of the import
def _text(moment: datetime) -> str:
    """As SQLAlchemy's DateTime stores UTC on SQLite; %Y has no zeros before a year."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text + "+00:00")
