"""Taking an import back, within 30 days: whom it created is deleted, what it changed is as it was, and whoever it
put on the list or gave a tag is not there any more.

Invariant: what somebody changed since stays: a new contact that was edited, left or was imported again is kept, and
a changed field is given back only while it holds what the import wrote. Deleting is the ordinary kind, which can be
undone too. A batch of the import is one transaction; the job's cursor moves in it.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.clock import Clock
from mailengine.core.errors import Conflict, InvalidInput, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, table_of, tenant_beside, tenant_of
from mailengine.db.unit import Database, WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import states
from mailengine.domain.contacts.imports.request import ImportRequest
from mailengine.domain.contacts.imports.trace import ATTRIBUTE, ids_of
from mailengine.domain.contacts.suppression import Entry
from mailengine.domain.jobs import jobs
from mailengine.models import (
    Consent,
    ConsentAct,
    Contact,
    ContactState,
    ContactTag,
    ImportBatch,
    ImportChange,
    ImportLifted,
    Job,
    JobKind,
    JobState,
    ListMember,
    MemberState,
    Suppression,
    SuppressionKind,
)

UNDOABLE = timedelta(days=30)
_CHUNK = 5000


async def begin(tx: WriteTx, scope: Scope, *, import_id: JobId, now: datetime) -> Job:
    """The queued job that takes an import back, or the one that began to and did not end. Raises Conflict when it
    was taken back already or still runs, Refused when it is too long ago."""
    scope.require(Grant.EDIT)
    done = await jobs.get(tx, scope, job_id=import_id)
    if done.kind not in (JobKind.IMPORT, JobKind.UPLOAD):
        raise InvalidInput(f"job {import_id} is no import")
    if done.state in (JobState.QUEUED, JobState.RUNNING):
        raise Conflict(f"import {import_id} is {done.state}; cancel it first")
    if now - done.created_at > UNDOABLE:
        raise Refused(f"import {import_id} is more than {UNDOABLE.days} days ago and cannot be taken back")
    if (earlier := done.result.get("undo")) is not None:
        job = await jobs.get(tx, scope, job_id=JobId(earlier))
        if job.state == JobState.DONE:
            raise Conflict(f"import {import_id} was taken back already, by job {earlier}")
        return job
    title = f"take back: {done.title}"
    result: dict[str, Any] = {
        "import": import_id,
        "list": done.subject_id,
        "batch": 0,
        "contact": 0,
        "counts": {},
    }
    job = await jobs.create(
        tx, scope, kind=JobKind.UNDO_IMPORT, title=title, now=now, result=result, total=done.done
    )
    done.result = {**done.result, "undo": job.id}
    return job


async def pieces(db: Database, clock: Clock, scope: Scope, job_id: JobId) -> AsyncGenerator[None]:
    """The work of a running job, a transaction at a time, and its end. Two who do it at once take turns."""
    while True:
        async with db.write(scope) as tx:
            job = await jobs.locked(tx, scope, job_id=job_id)
            if job.state != JobState.RUNNING:
                return  # somebody else was at it too, or it was cancelled
            held = _Held(JobId(job.result["import"]), job.result["list"], Counter(job.result["counts"]))
            moved = await _piece(tx, scope, held, job.result, clock.now())
            if moved is None:
                counts = dict(held.counts)
                result = {**job.result, "counts": counts}
                await jobs.finish(tx, scope, job_id=job_id, now=clock.now(), result=result)
                await audit.record(
                    tx, scope, "contact.import.undo", "job", held.import_id, now=clock.now(), **counts
                )
                return
            done = moved.get("done", job.done)
            result = {
                **job.result,
                **{name: moved[name] for name in ("batch", "contact")},
                "counts": dict(held.counts),
            }
            await jobs.progress(tx, scope, job_id=job_id, done=done, result=result)
        yield


async def rehearse_undo(db: Database, clock: Clock, scope: Scope, *, import_id: JobId) -> dict[str, int]:
    """What taking back would do; done and rolled back, a piece at a time."""
    counts: Counter[str] = Counter()
    cursor: Mapping[str, Any] = {"batch": 0, "contact": 0}
    with suppress(_Rehearsed):
        async with db.write(scope) as tx:
            job = await begin(tx, scope, import_id=import_id, now=clock.now())
            list_id = job.result["list"]
            raise _Rehearsed
    while True:
        held = _Held(import_id, list_id, counts)
        moved: Mapping[str, Any] | None = None
        with suppress(_Rehearsed):
            async with db.write(scope) as tx:
                moved = await _piece(tx, scope, held, cursor, clock.now())
                raise _Rehearsed
        if moved is None:
            return dict(counts)
        cursor = moved


class _Rehearsed(Exception):
    """Rolls a rehearsal back."""


@dataclass(slots=True)
class _Held:
    import_id: JobId
    list_id: int | None
    counts: Counter[str] = field(default_factory=Counter)


async def _piece(
    tx: WriteTx, scope: Scope, held: _Held, cursor: Mapping[str, Any], now: datetime
) -> dict[str, int] | None:
    """The next batch of ids, and after the last one pages of changes; None when all is taken back."""
    batch = await tx.scalar(
        owned(ImportBatch, scope)
        .where(col(ImportBatch.job_id) == held.import_id, col(ImportBatch.number) > cursor["batch"])
        .order_by(col(ImportBatch.number))
        .limit(1)
    )
    if batch is not None:
        await _take_back_batch(tx, scope, held, batch, now)
        return {"batch": batch.number, "contact": 0, "done": batch.number}
    last = await _take_back_changes(tx, scope, held, cursor["contact"], now)
    if last is None:
        await _suppress_again(tx, scope, held, now)
        return None
    return {"batch": cursor["batch"], "contact": last}


async def _take_back_batch(tx: WriteTx, scope: Scope, held: _Held, batch: ImportBatch, now: datetime) -> None:
    contacts, members, links = table_of(Contact), table_of(ListMember), table_of(ContactTag)
    for ids in _chunks(batch.created):
        untouched = sa.and_(contacts.c.updated_at == contacts.c.created_at, contacts.c.deleted_at.is_(None))
        gone = await tx.execute(
            sa.update(contacts)
            .where(tenant_beside(Contact) == scope.tenant_id, contacts.c.id.in_(ids), untouched)
            .values(deleted_at=now, updated_at=now)
        )
        held.counts["deleted"] += touched(gone)
        held.counts["kept"] += len(ids) - touched(gone)
    mine = sa.and_(members.c.tenant_id == scope.tenant_id, members.c.list_id == held.list_id)
    for ids in _chunks(batch.joined):
        still_on = members.c.state != MemberState.UNSUBSCRIBED
        gone = await tx.execute(sa.delete(members).where(mine, members.c.contact_id.in_(ids), still_on))
        held.counts["off_list"] += touched(gone)
    for ids in _chunks(batch.stayed_off):
        off = members.c.state == MemberState.UNSUBSCRIBED
        await tx.execute(sa.delete(members).where(mine, members.c.contact_id.in_(ids), off))
    for ids in _chunks(batch.rejoined):
        left = sa.update(members).where(mine, members.c.contact_id.in_(ids))
        gone = await tx.execute(left.values(state=MemberState.UNSUBSCRIBED))
        held.counts["off_list"] += touched(gone)
    for tag_id, runs in batch.tagged.items():
        for ids in _chunks(runs):
            theirs = sa.and_(links.c.tag_id == int(tag_id), links.c.contact_id.in_(ids))
            gone = await tx.execute(sa.delete(links).where(links.c.tenant_id == scope.tenant_id, theirs))
            held.counts["untagged"] += touched(gone)


async def _take_back_changes(tx: WriteTx, scope: Scope, held: _Held, after: int, now: datetime) -> int | None:
    """A page of changed contacts; returns the last one's id, None when there are no more."""
    rows = (
        await tx.execute(
            sa.select(Contact, col(ImportChange.change))
            .join(ImportChange, col(ImportChange.contact_id) == col(Contact.id))
            .where(
                tenant_of(Contact) == scope.tenant_id,
                tenant_of(ImportChange) == scope.tenant_id,
                col(ImportChange.job_id) == held.import_id,
                col(ImportChange.contact_id) > after,
            )
            .order_by(col(ImportChange.contact_id))
            .limit(_CHUNK)
            .with_for_update(of=Contact)
        )
    ).all()
    if not rows:
        return None
    updates: list[dict[str, Any]] = []
    by_state: dict[tuple[str, str], list[int]] = {}
    agreed: dict[tuple[str, str], list[int]] = {}
    for contact, change in rows:
        values = _given_back(contact, change, now)
        if "consent_source" in values:
            source, _at, address = change["consent"][1]
            agreed.setdefault((source, address), []).append(contact.id)
        if "state" in change and contact.state == change["state"][1]:
            by_state.setdefault((change["state"][0], change["state"][1]), []).append(contact.id)
        elif not values:
            held.counts["kept"] += 1
            continue
        held.counts["given_back"] += 1
        if values:
            updates.append({"at": contact.id, **_written(contact), **values, "updated_at": now})
    for (was, state), ids in by_state.items():
        await states.give_back(tx, scope, ids, was=ContactState(was), state=ContactState(state), now=now)
        if state in states.WITHDREW:
            imported = await jobs.get(tx, scope, job_id=held.import_id)
            said = ImportRequest.from_dict(imported.result["request"]).consent
            await _forget_act(tx, scope, held, ids, ConsentAct.WITHDRAWN, said, "")
    for (source, address), ids in agreed.items():
        await _forget_act(tx, scope, held, ids, ConsentAct.GIVEN, source, address)
    if updates:
        contacts = table_of(Contact)
        await tx.execute(
            sa.update(contacts).where(
                contacts.c.tenant_id == scope.tenant_id, contacts.c.id == sa.bindparam("at")
            ),
            updates,
        )
    return int(rows[-1][0].id)


async def _suppress_again(tx: WriteTx, scope: Scope, held: _Held, now: datetime) -> None:
    """What the import took from the suppression list."""
    lifted, names = table_of(ImportLifted).c, ("tenant_id", *Entry._fields)
    theirs = sa.and_(lifted.tenant_id == scope.tenant_id, lifted.job_id == held.import_id)
    rows = sa.select(*(lifted[name] for name in names)).where(theirs)
    given = await tx.execute(insert_new(tx, Suppression).from_select(names, rows))
    if count := touched(given):
        held.counts["suppressed"] += count
        keys = sa.select(lifted.value).where(theirs, lifted.kind == SuppressionKind.ADDRESS)
        await states.move_all(tx, scope, col(Contact.email_key).in_(keys), ContactState.SUPPRESSED, now)


async def _forget_act(
    tx: WriteTx,
    scope: Scope,
    held: _Held,
    contact_ids: Sequence[int],
    act: ConsentAct,
    source: str,
    address: str,
) -> None:
    """What the import wrote into the history: it spoke for nobody."""
    acts, job = table_of(Consent).c, table_of(Job).c
    begun = sa.select(job.created_at).where(job.tenant_id == scope.tenant_id, job.id == held.import_id)
    this = sa.and_(acts.act == act, acts.source == source, acts.ip == address)
    await tx.execute(
        sa.delete(table_of(Consent)).where(
            acts.tenant_id == scope.tenant_id,
            acts.contact_id.in_(contact_ids),
            acts.list_id.is_(None),
            acts.at >= begun.scalar_subquery(),
            this,
        )
    )


_WRITTEN = (
    "email", "first_name", "last_name", "attributes", "consent_source", "consent_at", "consent_ip", "deleted_at",
)  # fmt: skip


def _written(contact: Contact) -> dict[str, Any]:
    """What an import may write: the rows of one statement have the same columns."""
    return {name: getattr(contact, name) for name in _WRITTEN}


def _given_back(contact: Contact, change: Mapping[str, Sequence[Any]], now: datetime) -> dict[str, Any]:
    """The columns to write: each field that still holds what the import wrote."""
    values: dict[str, Any] = {}
    attributes = dict(contact.attributes)
    for name, (was, is_) in change.items():
        if name.startswith(ATTRIBUTE):
            key = name.removeprefix(ATTRIBUTE)
            if attributes.get(key) == is_:
                attributes.pop(key, None)
                if was is not None:
                    attributes[key] = was
        elif name == "consent" and _consent(contact) == is_:
            at = datetime.fromisoformat(was[1]) if was[1] else None
            values |= {"consent_source": was[0], "consent_at": at, "consent_ip": was[2]}
        elif name == "deleted" and contact.deleted_at is None:
            values["deleted_at"] = now
        elif name in ("email", "first_name", "last_name") and getattr(contact, name) == is_:
            values[name] = was
    if attributes != contact.attributes:
        values["attributes"] = attributes
    return values


def _consent(contact: Contact) -> list[str | None]:
    at = contact.consent_at
    return [contact.consent_source, None if at is None else at.isoformat(), contact.consent_ip]


async def forget_old(tx: WriteTx, _instance: InstanceScope, *, now: datetime) -> int:
    """What is too old to be taken back is not kept; returns how many rows went."""
    job = table_of(Job).c
    kinds, before = (JobKind.IMPORT, JobKind.UPLOAD), now - UNDOABLE
    gone = 0
    for model in (ImportChange, ImportBatch, ImportLifted):
        table = table_of(model)
        old = sa.select(table.c.job_id).join(table_of(Job), job.id == table.c.job_id)
        ids = (
            await tx.scalars(old.where(job.kind.in_(kinds), job.created_at < before).distinct().limit(20))
        ).all()
        if ids:
            removed = await tx.execute(sa.delete(table).where(table.c.job_id.in_(ids)))
            gone += touched(removed)
    return gone


def _chunks(runs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    ids = list(ids_of(runs))
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
