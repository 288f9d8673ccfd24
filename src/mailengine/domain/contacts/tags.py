"""Tags: short labels on contacts, alike when they differ only in case or in how a letter is encoded.

Imports write them in bulk: `ids_of` once for the names of a batch, `attach` for its pairs. Both leave what is
there as it is, so that a batch may be written again.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.core.wording import counted
from mailengine.db.insert import insert_new
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_beside, tenant_of
from mailengine.db.unit import ReadTx, WriteTx, touched
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains, deleted_ids
from mailengine.models import Contact, ContactTag, Tag

MAX_NAME = 100
MAX_TAGS = 10_000  # per tenant: a column of addresses taken for tags must not become a million tags
_CHUNK = 5000  # values a statement; PostgreSQL takes 32,767 parameters, SQLite 32,766


def check_tag(name: str) -> str:
    """A tag's name with its spaces in order; raises InvalidInput."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name or len(name) > MAX_NAME:
        raise InvalidInput(f"a tag must have 1 to {MAX_NAME} characters")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidInput("a tag cannot hold control characters")
    return name


def tag_key(name: str) -> str:
    """What is the same for every way to write the tag."""
    return unicodedata.normalize("NFC", check_tag(name).casefold())


async def create_tag(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> Tag:
    """Raises Conflict when there is one of that name."""
    scope.require(Grant.EDIT)
    if await _find(tx, scope, name) is not None:
        raise Conflict(f"there is already a tag called {check_tag(name)}")
    await ids_of(tx, scope, [name], now=now)
    return await get_tag(tx, scope, name=name)


async def get_tag(tx: ReadTx, scope: Scope, *, name: str) -> Tag:
    """Raises NotFound, also for another tenant's."""
    found = await _find(tx, scope, name)
    if found is None:
        raise NotFound(
            f"there is no tag called {check_tag(name)}; `mailengine tags list` shows those there are"
        )
    return found


async def get_by_id(tx: ReadTx, scope: Scope, *, tag_id: int) -> Tag:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(owned(Tag, scope).where(col(Tag.id) == tag_id))
    if found is None:
        raise NotFound(f"there is no tag {tag_id}")
    return found


async def list_tags(
    tx: ReadTx, scope: Scope, *, page: PageRequest, text: str = "", carried: bool | None = None
) -> Page[Tag]:
    """By name; `text` restricts to names that hold it, `carried` to those that a contact has, or that none has."""
    query = owned(Tag, scope)
    if text:
        query = query.where(contains(col(Tag.name), text))
    if carried is not None:
        somebody = _carriers(scope).where(table_of(ContactTag).c.tag_id == col(Tag.id)).exists()
        query = query.where(somebody if carried else sa.not_(somebody))
    return await keyset_page(tx, query, col(Tag.key), page)


async def all_known(tx: ReadTx, scope: Scope, names: Iterable[str]) -> bool:
    """Whether `ids_of` would make no new tag."""
    keys = {tag_key(name) for name in names}
    return len(await _known(tx, scope, keys)) == len(keys)


async def ids_of(tx: WriteTx, scope: Scope, names: Iterable[str], *, now: datetime) -> dict[str, int]:
    """Name as given → id; new names become tags. Raises InvalidInput above MAX_TAGS."""
    keys = {name: tag_key(name) for name in names}
    known = await _known(tx, scope, set(keys.values()))
    new: dict[str, str] = {}
    for name, key in keys.items():
        if key not in known:
            new.setdefault(key, check_tag(name))
    if new:
        await _check_room(tx, scope, len(new))
        rows = [
            {"tenant_id": scope.tenant_id, "name": name, "key": key, "created_at": now}
            for key, name in sorted(new.items())
        ]
        await tx.execute(insert_new(tx, Tag), rows)
        known |= await _known(tx, scope, set(new))
    return {name: known[key] for name, key in keys.items()}


async def attach(tx: WriteTx, scope: Scope, pairs: Iterable[tuple[int, int]]) -> None:
    """`(tag id, contact id)`, both of this tenant; pairs that are there stay."""
    rows = [
        {"tag_id": tag_id, "contact_id": contact_id, "tenant_id": scope.tenant_id}
        for tag_id, contact_id in sorted(set(pairs))
    ]
    if rows:
        await tx.execute(insert_new(tx, ContactTag), rows)


async def tag_contacts(
    tx: WriteTx, scope: Scope, *, tag: str, contact_ids: Collection[int], now: datetime
) -> int:
    """Put a tag, made if new, on those contacts; returns on how many it is new. Ids of others are left out."""
    scope.require(Grant.EDIT)
    tag_id = (await ids_of(tx, scope, [tag], now=now))[tag]
    given, contacts, links = sorted(set(contact_ids)), table_of(Contact).c, table_of(ContactTag).c
    added = 0
    for start in range(0, len(given), _CHUNK):
        untagged = sa.select(sa.literal(tag_id), contacts.id, contacts.tenant_id).where(
            tenant_beside(Contact) == scope.tenant_id,
            contacts.deleted_at.is_(None),
            contacts.id.in_(given[start : start + _CHUNK]),
            contacts.id.not_in(_tagged(scope, tag_id)),
        )
        columns = [links.tag_id, links.contact_id, links.tenant_id]
        done = await tx.execute(insert_new(tx, ContactTag).from_select(columns, untagged))
        added += touched(done)
    await audit.record(tx, scope, "contact.tag", "tag", tag_id, now=now, count=added)
    return added


async def untag_contacts(
    tx: WriteTx, scope: Scope, *, tag: str, contact_ids: Collection[int], now: datetime
) -> int:
    """Take a tag off those contacts; returns how many had it. Raises NotFound for a tag that is not there."""
    scope.require(Grant.EDIT)
    found = await get_tag(tx, scope, name=tag)
    given, links = sorted(set(contact_ids)), table_of(ContactTag)
    removed = 0
    for start in range(0, len(given), _CHUNK):
        done = await tx.execute(
            sa.delete(links).where(
                links.c.tenant_id == scope.tenant_id,
                links.c.tag_id == found.id,
                links.c.contact_id.in_(given[start : start + _CHUNK]),
            )
        )
        removed += touched(done)
    await audit.record(tx, scope, "contact.untag", "tag", found.id, now=now, count=removed)
    return removed


async def tags_of(tx: ReadTx, scope: Scope, contact_ids: Sequence[int]) -> dict[int, list[str]]:
    """The names of each contact's tags, by name; contacts without one are not in it."""
    found: dict[int, list[str]] = {}
    for start in range(0, len(contact_ids), _CHUNK):
        rows = await tx.execute(
            sa.select(col(ContactTag.contact_id), col(Tag.name))
            .join(Tag, col(Tag.id) == col(ContactTag.tag_id))
            .where(
                tenant_of(ContactTag) == scope.tenant_id,
                col(ContactTag.contact_id).in_(contact_ids[start : start + _CHUNK]),
            )
            .order_by(col(Tag.key))
        )
        for contact_id, name in rows:
            found.setdefault(contact_id, []).append(name)
    return found


async def counts(tx: ReadTx, scope: Scope, *, tag_ids: Sequence[int]) -> Mapping[int, int]:
    """How many contacts carry each tag; those that were deleted are left out: they are few, so what they carry is
    counted and taken off."""
    links, contacts = table_of(ContactTag).c, table_of(Contact).c
    per_tag = sa.select(links.tag_id, sa.func.count()).where(links.tenant_id == scope.tenant_id)
    per_tag = per_tag.group_by(links.tag_id)
    carried = {row[0]: row[1] for row in await tx.execute(per_tag.where(links.tag_id.in_(tag_ids)))}
    if len(tag_ids) == 1:  # a look for each contact that was deleted
        deleted = per_tag.where(links.tag_id == tag_ids[0], links.contact_id.in_(deleted_ids(scope)))
    else:  # of all tags: with some named, SQLite would look for each pair of tag and contact
        deleted = per_tag.join(Contact, contacts.id == links.contact_id).where(
            contacts.tenant_id == scope.tenant_id, contacts.deleted_at.is_not(None)
        )
    gone = {row[0]: row[1] for row in await tx.execute(deleted)}
    return {tag_id: carried.get(tag_id, 0) - gone.get(tag_id, 0) for tag_id in tag_ids}


def _carriers(scope: Scope) -> sa.Select[int]:
    """Who carries a tag; those that were deleted are left out."""
    links, contacts = table_of(ContactTag).c, table_of(Contact).c
    return (
        sa.select(links.contact_id)
        .join(Contact, contacts.id == links.contact_id)
        .where(links.tenant_id == scope.tenant_id, contacts.tenant_id == scope.tenant_id)
        .where(contacts.deleted_at.is_(None))
    )


def _tagged(scope: Scope, tag_id: int) -> sa.Select[int]:
    links = table_of(ContactTag).c
    return sa.select(links.contact_id).where(links.tenant_id == scope.tenant_id, links.tag_id == tag_id)


async def _find(tx: ReadTx, scope: Scope, name: str) -> Tag | None:
    return await tx.scalar(owned(Tag, scope).where(col(Tag.key) == tag_key(name)))


async def _known(tx: ReadTx, scope: Scope, keys: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    wanted = sorted(keys)
    for start in range(0, len(wanted), _CHUNK):
        rows = await tx.execute(
            sa.select(col(Tag.key), col(Tag.id)).where(
                tenant_of(Tag) == scope.tenant_id, col(Tag.key).in_(wanted[start : start + _CHUNK])
            )
        )
        found |= {row.key: row.id for row in rows}
    return found


async def _check_room(tx: ReadTx, scope: Scope, new: int) -> None:
    query = sa.select(sa.func.count()).select_from(Tag).where(tenant_of(Tag) == scope.tenant_id)
    there = await tx.scalar(query) or 0
    if there + new > MAX_TAGS:
        raise InvalidInput(
            f"{counted(new, 'new tag', 'new tags')} would make {there + new:,}, and {MAX_TAGS:,} is the most; "
            "is a column taken for tags that is something else?"
        )
