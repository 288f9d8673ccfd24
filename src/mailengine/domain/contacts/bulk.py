"""One act for many contacts, as a job: a selection, or everything that a rule describes or a filter matches.

Invariants: whom a rule or a filter describes is looked at page by page in the order of ids, and the cursor moves
in the transaction of the page's own changes, so that a killed job goes on where it was and touches nobody twice.
Nobody
is subscribed by it: who left stays gone, whatever list they are put on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.core.wording import counted
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, table_of, tenant_beside, tenant_of
from mailengine.db.unit import WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import tags
from mailengine.domain.contacts.browsing import Filter, conditions
from mailengine.domain.contacts.contacts import RESTORABLE
from mailengine.domain.contacts.lists import get_list
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.parse import Parsed
from mailengine.domain.contacts.segments.rules import Everyone, Rule, from_json, to_json
from mailengine.domain.contacts.segments.show import show
from mailengine.domain.contacts.states import move_ids
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, ContactState, Job, JobKind, JobState, ListMember, MemberState

PAGE = 2_000  # contacts a transaction
MAX_SELECTED = 10_000  # ids of a selection; more is what rules are for


class Act(StrEnum):
    DELETE = "delete"
    RESTORE = "restore"
    TAG = "tag"
    UNTAG = "untag"
    ADD_TO_LIST = "add-to-list"
    REMOVE_FROM_LIST = "remove-from-list"
    UNSUBSCRIBE = "unsubscribe"


TAG_ACTS = (Act.TAG, Act.UNTAG)
LIST_ACTS = (Act.ADD_TO_LIST, Act.REMOVE_FROM_LIST)
_NAMED = {Act.TAG: "tag", Act.UNTAG: "tag", Act.ADD_TO_LIST: "list", Act.REMOVE_FROM_LIST: "list"}


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """`contact_ids`, or a `segment`'s name, or a `rule`, or a `chosen` filter: one of them; `name` is the tag's or
    the list's. Whom a filter matches are those who are there when it is asked."""

    act: Act
    name: str = ""
    contact_ids: tuple[int, ...] | None = None
    segment: str | None = None
    rule: Parsed | Rule | None = None
    chosen: Filter | None = None


async def request_bulk(tx: WriteTx, scope: Scope, request: BulkRequest, *, now: datetime) -> Job:
    """A queued job; raises InvalidInput, NotFound (the list, the segment)."""
    scope.require(Grant.EDIT)
    whoms = (request.contact_ids, request.segment, request.rule, request.chosen)
    if sum(each is not None for each in whoms) != 1:
        raise InvalidInput("say for whom: contacts, a segment or a rule, and one of them only")
    _check_whom(request)
    await _check_name(tx, scope, request)
    rule, ids = await _whom(tx, scope, request)
    if request.chosen is not None:
        total = await _count(tx, scope, request.chosen)
    else:
        total = len(ids) if ids is not None else await find.count(tx, scope, rule, now=now)
    by_rule = ids is None and request.chosen is None
    whom = show(rule) if by_rule else counted(total, "contact", "contacts")
    job = await jobs.create(
        tx,
        scope,
        kind=JobKind.BULK,
        title=f"{request.act.value} {request.name}: {whom}".replace(" :", ":"),
        now=now,
        total=total,
        result={
            "act": request.act.value,
            "name": request.name,
            "rule": to_json(rule),
            "contact_ids": ids,
            "filter": None if request.chosen is None else request.chosen.as_dict(),
            "upto": await _newest(tx, scope) if request.chosen is not None else None,
            "asked_at": now.isoformat(),
            "cursor": 0,
            "changed": 0,
        },
    )
    details = {"act": request.act.value, "total": total}
    await audit.record(tx, scope, "contact.bulk", "job", job.id, now=now, **details)
    return job


async def do_at_once(tx: WriteTx, scope: Scope, request: BulkRequest, *, now: datetime) -> Job:
    """The same, done in this transaction where it is a page or less; else the queued job."""
    job = await request_bulk(tx, scope, request, now=now)
    assert job.id is not None
    if (job.total or 0) <= PAGE:
        await jobs.start(tx, scope, job_id=JobId(job.id), now=now)
        while await bulk_page(tx, scope, job_id=JobId(job.id), now=now):
            pass
    return job


async def bulk_page(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime, page: int = PAGE) -> bool:
    """Do one page and move the job; False when that was the end."""
    job = await tx.scalar(owned(Job, scope).where(col(Job.id) == job_id).with_for_update())
    if job is None or job.state != JobState.RUNNING:
        return False  # cancelled, or another process did the rest
    held = job.result
    ids = await _next_ids(tx, scope, held, page)
    if not ids:
        over = {**held, "contact_ids": None, "filter": None}  # a search may be somebody's address
        await jobs.finish(tx, scope, job_id=job_id, now=now, result=over)
        return False
    changed = await _do(tx, scope, Act(held["act"]), held["name"], ids, now)
    moved = {**held, "cursor": ids[-1], "changed": held["changed"] + changed}
    await jobs.progress(tx, scope, job_id=job_id, done=job.done + len(ids), result=moved)
    return True


def _check_whom(request: BulkRequest) -> None:
    """Deleted contacts can be restored and nothing else; no rule describes them."""
    restores, chosen = request.act is Act.RESTORE, request.chosen
    if restores and (request.segment is not None or request.rule is not None):
        raise InvalidInput("no rule describes contacts that were deleted; say which ones to restore")
    if chosen is not None and chosen.deleted is not restores:
        raise InvalidInput(f"{request.act.value} is not for contacts " + ("there" if restores else "deleted"))


async def _count(tx: WriteTx, scope: Scope, chosen: Filter) -> int:
    query = sa.select(sa.func.count()).where(tenant_of(Contact) == scope.tenant_id)
    return await tx.scalar(query.where(*conditions(scope, chosen))) or 0


async def _newest(tx: WriteTx, scope: Scope) -> int:
    query = sa.select(sa.func.max(col(Contact.id))).where(tenant_of(Contact) == scope.tenant_id)
    return await tx.scalar(query) or 0


async def _check_name(tx: WriteTx, scope: Scope, request: BulkRequest) -> None:
    wanted = _NAMED.get(request.act)
    if wanted is None:
        if request.name:
            raise InvalidInput(f"{request.act.value} takes no name")
    elif not request.name.strip():
        raise InvalidInput(f"say which {wanted}")
    elif request.act is Act.TAG:
        tags.check_tag(request.name)
    elif request.act is Act.UNTAG:
        await tags.get_tag(tx, scope, name=request.name)
    else:
        await get_list(tx, scope, name=request.name)


async def _whom(tx: WriteTx, scope: Scope, request: BulkRequest) -> tuple[Rule, list[int] | None]:
    if request.contact_ids is not None:
        ids = sorted(set(request.contact_ids))
        if not 1 <= len(ids) <= MAX_SELECTED:
            raise InvalidInput(f"choose 1 to {MAX_SELECTED:,} contacts, or say by a rule whom you mean")
        return Everyone(), ids
    if request.chosen is not None:
        return Everyone(), None
    if request.segment is not None:
        return saved.rule_of(await saved.get(tx, scope, name=request.segment)), None
    assert request.rule is not None
    return await find.checked(tx, scope, request.rule), None


async def _next_ids(tx: WriteTx, scope: Scope, held: dict[str, Any], page: int) -> list[int]:
    """The next contacts that fit, by id; times in the rule count from when the job was asked for."""
    contact, ids, chosen = col(Contact.id), held["contact_ids"], held.get("filter")
    if ids is None and chosen is None:
        asked_at, rule = datetime.fromisoformat(held["asked_at"]), from_json(held["rule"])
        query = await find.matching(tx, scope, rule, now=asked_at, columns=[contact], frozen=True)
    else:
        wanted = Filter(deleted=held["act"] == Act.RESTORE) if chosen is None else Filter.from_dict(chosen)
        query = sa.select(contact).where(tenant_of(Contact) == scope.tenant_id, *conditions(scope, wanted))
    if ids is not None:
        query = query.where(contact.in_([each for each in ids if each > held["cursor"]][:page]))
    if chosen is not None:
        query = query.where(contact <= held["upto"])
    query = query.where(contact > held["cursor"]).order_by(contact).limit(page)
    return list((await tx.scalars(query)).all())


async def _do(tx: WriteTx, scope: Scope, act: Act, name: str, ids: Sequence[int], now: datetime) -> int:
    """On how many of the contacts something changed."""
    match act:
        case Act.TAG:
            return await tags.tag_contacts(tx, scope, tag=name, contact_ids=ids, now=now)
        case Act.UNTAG:
            return await tags.untag_contacts(tx, scope, tag=name, contact_ids=ids, now=now)
        case Act.UNSUBSCRIBE:
            return await move_ids(tx, scope, ids, ContactState.UNSUBSCRIBED, now)
        case Act.DELETE:
            return await _delete(tx, scope, ids, now)
        case Act.RESTORE:
            return await _restore(tx, scope, ids, now)
        case Act.ADD_TO_LIST:
            return await _add_to_list(tx, scope, name, ids, now)
        case Act.REMOVE_FROM_LIST:
            return await _remove_from_list(tx, scope, name, ids)


async def _delete(tx: WriteTx, scope: Scope, ids: Sequence[int], now: datetime) -> int:
    """Softly: they can be restored."""
    done = await tx.execute(
        sa.update(Contact)
        .where(
            tenant_beside(Contact) == scope.tenant_id,
            col(Contact.id).in_(ids),
            col(Contact.deleted_at).is_(None),
        )
        .values(deleted_at=now, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    return touched(done)


async def _restore(tx: WriteTx, scope: Scope, ids: Sequence[int], now: datetime) -> int:
    """As `contacts.restore` does for one: as they were, within the time for it."""
    contacts = table_of(Contact).c
    done = await tx.execute(
        sa.update(Contact)
        .where(
            tenant_beside(Contact) == scope.tenant_id,
            contacts.id.in_(ids),
            contacts.deleted_at >= now - RESTORABLE,
            contacts.erased_at.is_(None),
        )
        .values(deleted_at=None, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    return touched(done)


async def _add_to_list(tx: WriteTx, scope: Scope, name: str, ids: Sequence[int], now: datetime) -> int:
    """As `lists.join` does for one: who is or was on it keeps the state that they have there."""
    found = await get_list(tx, scope, name=name)
    contacts, members = table_of(Contact).c, table_of(ListMember).c
    state = sa.case(
        (contacts.state == ContactState.UNCONFIRMED, MemberState.UNCONFIRMED.value),
        (
            contacts.state.in_([ContactState.UNSUBSCRIBED, ContactState.COMPLAINED]),
            MemberState.UNSUBSCRIBED.value,
        ),
        else_=MemberState.SUBSCRIBED.value,
    )
    rows = sa.select(
        sa.literal(found.id), contacts.id, contacts.tenant_id, state, sa.literal(now, members.joined_at.type)
    ).where(tenant_beside(Contact) == scope.tenant_id, contacts.id.in_(ids))
    columns = [members.list_id, members.contact_id, members.tenant_id, members.state, members.joined_at]
    done = await tx.execute(insert_new(tx, ListMember).from_select(columns, rows))
    return touched(done)


async def _remove_from_list(tx: WriteTx, scope: Scope, name: str, ids: Sequence[int]) -> int:
    """They are off it as if they had left: no import brings them back."""
    found = await get_list(tx, scope, name=name)
    members = table_of(ListMember)
    done = await tx.execute(
        sa.update(members)
        .where(
            members.c.tenant_id == scope.tenant_id,
            members.c.list_id == found.id,
            members.c.contact_id.in_(ids),
            members.c.state != MemberState.UNSUBSCRIBED,
        )
        .values(state=MemberState.UNSUBSCRIBED)
    )
    return touched(done)
