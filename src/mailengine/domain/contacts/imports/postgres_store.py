"""Batches on PostgreSQL: one statement for a whole batch, its rows as one array a column.

COPY into a table with row-level security is refused by PostgreSQL; `INSERT … SELECT FROM unnest(…)` costs the
server nearly as little and takes its conflicts in stride. Rows are inserted in the order of their keys: two
imports that meet wait for each other, never crosswise.

An import fills tables of which PostgreSQL has no statistics yet. A plan that was made and kept while they were empty
reads all of a table for each address of a batch: minutes at 100,000 contacts. So what has an index is read by it, and
looking addresses up is planned anew for each batch; nothing else is, for the checks of foreign keys are statements
too, one a row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts.imports.plan import Known, Step
from mailengine.models import ContactState

_PLANNING = "SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', $1, true)"
_KNOWN = """
SELECT c.email_key, c.id, c.email, c.first_name, c.last_name, c.attributes::text,
       c.consent_source, c.consent_at, c.consent_ip, c.state, c.deleted_at IS NOT NULL,
       (SELECT m.state FROM list_members AS m
        WHERE m.list_id = $3 AND m.contact_id = c.id AND m.tenant_id = $2)
FROM contacts AS c
WHERE c.tenant_id = $2 AND c.email_key = ANY($1::text[])
ORDER BY c.id
"""
# All at once: batches that are stored beside this one get theirs, and each has a few runs of numbers to remember.
_IDS = """
SELECT array_agg(nextval((SELECT pg_get_serial_sequence('contacts', 'id'))::regclass)) FROM generate_series(1, $1)
"""
_INSERT = """
INSERT INTO contacts (id, tenant_id, email, email_key, first_name, last_name, state, attributes,
                      consent_source, consent_at, consent_ip, created_at, updated_at)
SELECT new.id, $1, new.email, new.key, new.first_name, new.last_name, new.state, new.attributes::jsonb,
       new.source, new.at, new.address, $2, $2
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::timestamptz[], $12::text[])
     AS new(id, email, key, first_name, last_name, state, attributes, source, at, address)
ON CONFLICT (tenant_id, email_key) DO NOTHING RETURNING id
"""
# Not UPDATE … FROM: without statistics the join is turned around, and compares each row with the whole tenant. The
# contacts are locked, so none of these is inserted.
_UPDATE = """
INSERT INTO contacts (id, tenant_id, email, email_key, first_name, last_name, state, attributes,
                      consent_source, consent_at, consent_ip, created_at, updated_at)
SELECT new.id, $1, new.email, new.key, new.first_name, new.last_name, 'subscribed', new.attributes::jsonb,
       new.source, new.at, new.address, $2, $2
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::timestamptz[], $11::text[])
     AS new(id, email, key, first_name, last_name, attributes, source, at, address)
ON CONFLICT (id) DO UPDATE
SET email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name,
    attributes = excluded.attributes, consent_source = excluded.consent_source,
    consent_at = excluded.consent_at, consent_ip = excluded.consent_ip, updated_at = excluded.updated_at,
    deleted_at = NULL
WHERE contacts.tenant_id = excluded.tenant_id
"""
_JOIN = """
INSERT INTO list_members (list_id, contact_id, tenant_id, state, joined_at)
SELECT $1, new.contact_id, $2, $3, $4 FROM unnest($5::bigint[]) AS new(contact_id) ON CONFLICT DO NOTHING
"""
_TAG = """
INSERT INTO contact_tags (tag_id, contact_id, tenant_id)
SELECT $1, new.contact_id, $2 FROM unnest($3::bigint[]) AS new(contact_id) ON CONFLICT DO NOTHING
"""
_NEW = " RETURNING tag_id, contact_id"


async def read_known(
    tx: ReadTx, scope: Scope, keys: Sequence[str], *, list_id: int | None, lock: bool
) -> dict[str, Known]:
    """Stored contacts by address key; with `lock` nobody changes them until the end of the transaction."""
    connection = await tx.connection()
    await connection.exec_driver_sql(_PLANNING, ("force_custom_plan",))
    statement = _KNOWN + ("FOR UPDATE OF c" if lock else "")
    rows: Any = await connection.exec_driver_sql(statement, (list(keys), scope.tenant_id, list_id or 0))
    await connection.exec_driver_sql(_PLANNING, ("auto",))
    return {
        row[0]: Known(
            row[1],
            row[2],
            row[3],
            row[4],
            msgspec.json.decode(row[5]),
            (row[6], row[7], row[8]),
            row[9],
            row[10],
            row[11],
        )
        for row in rows
    }


async def insert(
    tx: WriteTx, scope: Scope, steps: Sequence[Step], states: Sequence[ContactState], now: datetime
) -> list[tuple[int, Step]]:
    """Store new contacts; returns the ids of those that nobody else stored meanwhile."""
    connection = await tx.connection()
    given: list[int] = (await connection.exec_driver_sql(_IDS, (len(steps),))).scalar_one()
    people = sorted(zip(given, steps, states, strict=True), key=lambda person: person[1].row.key)
    rows = [
        (
            identity,
            step.profile.email,
            step.row.key,
            step.profile.first_name,
            step.profile.last_name,
            state.value,
            msgspec.json.encode(step.profile.attributes).decode(),
            *step.profile.consent,
        )
        for identity, step, state in people
    ]
    stored = await connection.exec_driver_sql(_INSERT, (scope.tenant_id, now, *_arrays(rows)))
    there = set(stored.scalars())
    return [(identity, step) for identity, step in zip(given, steps, strict=True) if identity in there]


async def update(tx: WriteTx, scope: Scope, steps: Sequence[Step], now: datetime) -> None:
    """Store changed profiles; deleted contacts come back."""
    rows = []
    for step in steps:
        assert step.known is not None
        profile = step.profile
        attributes = msgspec.json.encode(profile.attributes).decode()
        names = (profile.first_name, profile.last_name)
        rows.append((step.known.id, profile.email, step.row.key, *names, attributes, *profile.consent))
    connection = await tx.connection()
    await connection.exec_driver_sql(_UPDATE, (scope.tenant_id, now, *_arrays(rows)))


async def join_list(
    tx: WriteTx, scope: Scope, members: Mapping[str, Sequence[int]], *, list_id: int, now: datetime
) -> None:
    """Add contacts, by their state on the list; who is or was on it stays as they are."""
    connection = await tx.connection()
    for state, ids in members.items():
        await connection.exec_driver_sql(_JOIN, (list_id, scope.tenant_id, state, now, ids))


async def tag(tx: WriteTx, scope: Scope, tagged: Mapping[int, Sequence[int]]) -> None:
    """Tag contacts: tag id → contact ids."""
    connection = await tx.connection()
    for tag_id, ids in tagged.items():
        await connection.exec_driver_sql(_TAG, (tag_id, scope.tenant_id, ids))


async def tag_known(tx: WriteTx, scope: Scope, tagged: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """`tag`, and which pairs of tag and contact are new."""
    connection = await tx.connection()
    new: list[tuple[int, int]] = []
    for tag_id, ids in tagged.items():
        rows: Any = await connection.exec_driver_sql(_TAG + _NEW, (tag_id, scope.tenant_id, ids))
        new += [(row[0], row[1]) for row in rows]
    return new


def _arrays(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
