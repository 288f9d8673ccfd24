"""Who matches rules: counted, listed, sampled, and why some of them cannot be mailed."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.engine import READERS
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.contacts.segments.behaviour import reads_rows
from mailengine.domain.contacts.segments.check import check
from mailengine.domain.contacts.segments.compile import Compiler
from mailengine.domain.contacts.segments.names import read_names
from mailengine.domain.contacts.segments.parse import Parsed
from mailengine.domain.contacts.segments.rules import Activity, Compare, Rule, conditions
from mailengine.models import Contact

_WORTH_SPLITTING = 50_000  # contacts; fewer are counted before the other connections are there


async def checked(tx: ReadTx, scope: Scope, given: Parsed | Rule) -> Rule:
    """The rules, when they can be evaluated in this tenant; raises InvalidInput with the first place that is
    wrong (SegmentError for a text)."""
    rule = given.rule if isinstance(given, Parsed) else given
    problems = check(rule, await read_names(tx, scope, [rule]))
    if not problems:
        return rule
    first = problems[0]
    if isinstance(given, Parsed):
        raise given.error(first.path, first.words)
    raise InvalidInput(f"{first.path}: {first.words}" if first.path else first.words)


async def compiler_for(
    tx: ReadTx,
    scope: Scope,
    rules: Sequence[Rule],
    *,
    now: datetime,
    above: int | None = None,
    upto: int | None = None,
    frozen: bool = False,
) -> Compiler:
    """What compiles these rules; raises InvalidInput when one of them cannot be evaluated any more. `frozen`
    rules were checked before: a tag, list or campaign that is gone since then is nobody's."""
    names = await read_names(tx, scope, rules)
    for rule in () if frozen else rules:
        if problems := check(rule, names):
            raise InvalidInput(problems[0].words)
    await make_room(tx)
    return Compiler(scope, names, now=now, postgres=tx.postgres, above=above, upto=upto)


async def make_room(tx: ReadTx) -> None:
    """For this transaction: sets of a million ids in memory, where PostgreSQL would search them anew for every
    contact otherwise; and no compilation to machine code, which takes longer than the query."""
    if tx.postgres:
        await tx.execute(
            sa.select(sa.func.set_config("work_mem", "64MB", True), sa.func.set_config("jit", "off", True))
        )


async def matching(
    tx: ReadTx,
    scope: Scope,
    rule: Rule,
    *,
    now: datetime,
    columns: Sequence[Any] = (Contact,),
    frozen: bool = False,
) -> sa.Select[Any]:
    """The living contacts that the rules describe."""
    compiler = await compiler_for(tx, scope, [rule], now=now, frozen=frozen)
    condition = compiler.condition(rule, decides=True)
    return (
        sa.select(*columns)
        .select_from(compiler.source())
        .where(tenant_of(Contact) == scope.tenant_id, col(Contact.deleted_at).is_(None), condition)
    )


async def live_count(db: Database, scope: Scope, rule: Rule, *, now: datetime) -> int:
    """`count` by several connections at once, each of which takes a range of the contacts: always on SQLite, on
    PostgreSQL where they are read in order (`_by_ids`). For a person who waits; what is written meanwhile may be
    counted in one range and not yet in another."""
    async with db.read(scope) as tx:
        newest = await tx.scalar(
            sa.select(sa.func.max(col(Contact.id))).where(tenant_of(Contact) == scope.tenant_id)
        )
        if (newest or 0) < _WORTH_SPLITTING or (tx.postgres and not _by_ids(rule)):
            return await count(tx, scope, rule, now=now)
    step = -(-(newest or 0) // READERS)
    parts = [_count_range(db, scope, rule, now, start * step, (start + 1) * step) for start in range(READERS)]
    return sum(await asyncio.gather(*parts))


def _by_ids(rule: Rule) -> bool:
    """Whether it is about lists or about who received something: millions of rows that have an index in the order
    of contacts' ids, as their rows mostly are. The sums are in no order, and the index of events lacks a column."""
    found = [condition for _path, condition in conditions(rule)]
    acts = [each for each in found if isinstance(each, Activity)]
    on_lists = any(isinstance(each, Compare) and each.field == "list" for each in found)
    return (on_lists or bool(acts)) and all(each.did == "received" and reads_rows(each) for each in acts)


async def _in_order(tx: ReadTx) -> None:
    """A range on PostgreSQL is read by the indexes of ids, side by side. Hash tables of all contacts, which it would
    make, wait for memory at each look. The ranges are what runs in parallel."""
    if tx.postgres:
        in_order = {"max_parallel_workers_per_gather": "0", "random_page_cost": "1.1"}
        await tx.execute(sa.select(*(sa.func.set_config(*each, True) for each in in_order.items())))


async def _count_range(db: Database, scope: Scope, rule: Rule, now: datetime, above: int, upto: int) -> int:
    async with db.read(scope) as tx:
        compiler = await compiler_for(tx, scope, [rule], now=now, above=above, upto=upto)
        await _in_order(tx)
        condition = compiler.condition(rule, decides=True)
        query = (
            sa.select(sa.func.count())
            .select_from(compiler.source())
            .where(
                tenant_of(Contact) == scope.tenant_id,
                col(Contact.deleted_at).is_(None),
                col(Contact.id) > above,
                col(Contact.id) <= upto,
                condition,
            )
        )
        return await tx.scalar(query) or 0


async def count(tx: ReadTx, scope: Scope, rule: Rule, *, now: datetime) -> int:
    query = await matching(tx, scope, rule, now=now, columns=[sa.func.count()])
    return await tx.scalar(query) or 0


async def page_of(tx: ReadTx, scope: Scope, rule: Rule, *, page: PageRequest, now: datetime) -> Page[Contact]:
    """By id."""
    return await keyset_page(tx, await matching(tx, scope, rule, now=now), col(Contact.id), page)


async def sample(
    tx: ReadTx, scope: Scope, rule: Rule, *, limit: int, now: datetime, chance: random.Random
) -> list[Contact]:
    """Some of them: those that follow a random place, then those from the beginning."""
    query = (await matching(tx, scope, rule, now=now)).order_by(col(Contact.id)).limit(limit)
    newest = sa.select(sa.func.max(col(Contact.id))).where(tenant_of(Contact) == scope.tenant_id)
    place = chance.randint(0, await tx.scalar(newest) or 0)
    found = list((await tx.scalars(query.where(col(Contact.id) >= place))).all())
    if len(found) < limit:
        rest = await tx.scalars(query.where(col(Contact.id) < place))
        found += rest.all()
    return found[:limit]
