"""Lists: named groups of contacts that campaigns are sent to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import ContactId, ListId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.insert import insert_new
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains, deleted_ids
from mailengine.models import ContactList, ListMember, MemberState

_MAX_NAME = 200
_CHUNK = 5000  # ids a statement; PostgreSQL takes 32,767 parameters, SQLite 32,766
_MAX_DESCRIPTION = 1000


def check_name(name: str) -> str:
    """A list's name with its spaces in order; raises InvalidInput."""
    name = " ".join(name.split())
    if not name or len(name) > _MAX_NAME:
        raise InvalidInput(f"a list's name must have 1 to {_MAX_NAME} characters")
    return name


async def create_list(
    tx: WriteTx,
    scope: Scope,
    *,
    name: str,
    description: str = "",
    double_opt_in: bool = False,
    public: bool = False,
    now: datetime,
) -> ContactList:
    """Raises Conflict when there is one of that name."""
    scope.require(Grant.EDIT)
    name = check_name(name)
    found = ContactList(
        tenant_id=scope.tenant_id,
        name=name,
        description=check_description(description),
        double_opt_in=double_opt_in,
        public=public,
        created_at=now,
    )
    try:
        async with tx.begin_nested():
            tx.add(found)
    except IntegrityError as error:
        raise Conflict(f"there is already a list called {name}") from error
    await audit.record(tx, scope, "list.create", "list", found.id, now=now)
    return found


def present(scope: Scope) -> sa.Select[ContactList]:
    """Those that were not deleted (campaigns/list_removal.py)."""
    return owned(ContactList, scope).where(col(ContactList.deleted_at).is_(None))


async def ids_of(tx: ReadTx, scope: Scope, names: Iterable[str]) -> tuple[int, ...]:
    """Raises NotFound for a name that no list has."""
    return tuple([(await get_list(tx, scope, name=name)).id or 0 for name in names])


async def get_list(tx: ReadTx, scope: Scope, *, name: str, keep: bool = False) -> ContactList:
    """`keep`: nobody deletes it until the transaction, which writes, has ended."""
    found = await _named(tx, scope, check_name(name), keep=keep)
    if found is None:
        raise NotFound(f"there is no list called {name}; `mailengine lists list` shows those there are")
    return found


async def find_list(tx: ReadTx, scope: Scope, *, name: str) -> ContactList | None:
    return await _named(tx, scope, check_name(name))


async def get_or_create(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> ContactList:
    """Nobody deletes it until the transaction has ended."""
    found = await _named(tx, scope, check_name(name), keep=True)
    if found is not None:
        return found
    try:
        return await create_list(tx, scope, name=name, now=now)
    except Conflict:  # another process made it since we looked
        return await get_list(tx, scope, name=name, keep=True)


async def get_by_id(tx: ReadTx, scope: Scope, *, list_id: int) -> ContactList:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(present(scope).where(col(ContactList.id) == list_id))
    if found is None:
        raise NotFound(f"there is no list {list_id}")
    return found


async def list_lists(
    tx: ReadTx,
    scope: Scope,
    *,
    page: PageRequest,
    text: str = "",
    double_opt_in: bool | None = None,
    public: bool | None = None,
) -> Page[ContactList]:
    """Oldest first; `text` restricts to names that hold it, None restricts nothing."""
    query = present(scope)
    if text:
        query = query.where(contains(col(ContactList.name), text))
    if double_opt_in is not None:
        query = query.where(col(ContactList.double_opt_in) == double_opt_in)
    if public is not None:
        query = query.where(col(ContactList.public) == public)
    return await keyset_page(tx, query, col(ContactList.id), page)


async def member_counts(tx: ReadTx, scope: Scope, *, list_ids: list[int]) -> dict[int, dict[str, int]]:
    """Members by state for each list; contacts that were deleted are left out, as `tags.counts` does it."""
    members = table_of(ListMember).c
    query = (
        sa.select(members.list_id, members.state, sa.func.count())
        .where(members.tenant_id == scope.tenant_id, members.list_id.in_(list_ids))
        .group_by(members.list_id, members.state)
    )
    counts: dict[int, dict[str, int]] = {list_id: {} for list_id in list_ids}
    for list_id, state, number in await tx.execute(query):
        counts[list_id][state] = number
    for list_id, state, number in await tx.execute(query.where(members.contact_id.in_(deleted_ids(scope)))):
        counts[list_id][state] -= number
    return {list_id: {state: n for state, n in of.items() if n} for list_id, of in counts.items()}


async def memberships(
    tx: ReadTx, scope: Scope, contact_ids: Sequence[int]
) -> dict[int, dict[str, MemberState]]:
    """The lists that each contact is or was on, by name, with its state there; contacts without one are not in it."""
    found: dict[int, dict[str, MemberState]] = {}
    for start in range(0, len(contact_ids), _CHUNK):
        rows = await tx.execute(
            sa.select(col(ListMember.contact_id), col(ContactList.name), col(ListMember.state))
            .join(ContactList, col(ContactList.id) == col(ListMember.list_id))
            .where(
                tenant_of(ListMember) == scope.tenant_id,
                col(ListMember.contact_id).in_(contact_ids[start : start + _CHUNK]),
                col(ContactList.deleted_at).is_(None),
            )
            .order_by(col(ContactList.name))
        )
        for contact_id, name, state in rows:
            found.setdefault(contact_id, {})[name] = MemberState(state)
    return found


async def people_on(tx: ReadTx, scope: Scope, *, list_id: int) -> int:
    """Those who are subscribed or have yet to confirm."""
    states = (await member_counts(tx, scope, list_ids=[list_id]))[list_id]
    return sum(number for state, number in states.items() if state != MemberState.UNSUBSCRIBED)


async def keep_any(tx: WriteTx, scope: Scope, list_ids: Sequence[int]) -> bool:
    """Whether one of the lists is there; nobody deletes those until the transaction has ended."""
    query = _kept(present(scope).where(col(ContactList.id).in_(list_ids)))
    return bool((await tx.scalars(query)).all())


async def join(
    tx: WriteTx, scope: Scope, *, list_id: ListId, contact_id: ContactId, state: MemberState, now: datetime
) -> None:
    """Add to a list; who is or was on it keeps the state they have there."""
    row: dict[str, Any] = {
        "list_id": list_id,
        "contact_id": contact_id,
        "tenant_id": scope.tenant_id,
        "state": state,
        "joined_at": now,
    }
    await tx.execute(insert_new(tx, ListMember).values(row))


async def rejoin(tx: WriteTx, scope: Scope, *, list_id: ListId, contact_ids: Sequence[int]) -> None:
    """Back on a list that they had left, by an act that is theirs or answered for (an audited override)."""
    for start in range(0, len(contact_ids), _CHUNK):
        await tx.execute(
            sa.update(ListMember)
            .where(
                tenant_of(ListMember) == scope.tenant_id,
                col(ListMember.list_id) == list_id,
                col(ListMember.contact_id).in_(contact_ids[start : start + _CHUNK]),
            )
            .values(state=MemberState.SUBSCRIBED)
            .execution_options(synchronize_session=False)
        )


async def set_membership(
    tx: WriteTx, scope: Scope, *, contact_id: int, list_ids: Sequence[int], state: MemberState, now: datetime
) -> None:
    """What the person decided themselves, whatever their state on these lists was; who decides for them `join`s."""
    for list_id in list_ids:
        await join(tx, scope, list_id=ListId(list_id), contact_id=ContactId(contact_id), state=state, now=now)
    members = table_of(ListMember)
    await tx.execute(
        sa.update(members)
        .where(
            members.c.tenant_id == scope.tenant_id,
            members.c.contact_id == contact_id,
            members.c.list_id.in_(list_ids),
        )
        .values(state=state)
    )


async def update_list(
    tx: WriteTx,
    scope: Scope,
    *,
    list_id: int,
    name: str | None = None,
    description: str | None = None,
    double_opt_in: bool | None = None,
    public: bool | None = None,
    now: datetime,
) -> ContactList:
    """None leaves a value as it is; raises Conflict for a name that is taken."""
    scope.require(Grant.EDIT)
    found = await get_by_id(tx, scope, list_id=list_id)
    if name is not None:
        name = check_name(name)
        taken = await _named(tx, scope, name)
        if taken is not None and taken.id != found.id:
            raise Conflict(f"there is already a list called {name}")
        found.name = name
    if description is not None:
        found.description = check_description(description)
    found.double_opt_in = found.double_opt_in if double_opt_in is None else double_opt_in
    found.public = found.public if public is None else public
    await audit.record(tx, scope, "list.update", "list", found.id, now=now)
    return found


def check_description(text: str) -> str:
    """Raises InvalidInput."""
    text = " ".join(text.split())
    if len(text) > _MAX_DESCRIPTION or "\x00" in text:
        raise InvalidInput(f"a list's description can have {_MAX_DESCRIPTION} characters at most")
    return text


async def _named(tx: ReadTx, scope: Scope, name: str, *, keep: bool = False) -> ContactList | None:
    query = present(scope).where(col(ContactList.name) == name)
    return await tx.scalar(_kept(query) if keep else query)


def _kept(query: sa.Select[ContactList]) -> sa.Select[ContactList]:
    """The weakest lock: whoever deletes the list waits for it, and nobody else."""
    return query.with_for_update(read=True, key_share=True)
