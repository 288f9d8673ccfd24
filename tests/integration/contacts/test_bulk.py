"""One act for many contacts: a selection or a rule, page by page, killed, cancelled, another tenant's."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mailengine.core.errors import Forbidden, InvalidInput, NotFound
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.contacts import bulk, states, tags
from mailengine.domain.contacts.browsing import Filter
from mailengine.domain.contacts.bulk import Act, BulkRequest
from mailengine.domain.contacts.lists import create_list
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, ContactState, Job, ListMember
from support.house import NOW

pytestmark = pytest.mark.anyio
PEOPLE = "email,country\n" + "".join(f"p{n}@example.org,{'DE' if n % 2 else 'AT'}\n" for n in range(9))


async def started(db: Database, scope: Scope, request: BulkRequest) -> JobId:
    async with db.write(scope) as tx:
        job = await bulk.request_bulk(tx, scope, request, now=NOW)
        await jobs.start(tx, scope, job_id=JobId(job.id or 0), now=NOW)
    return JobId(job.id or 0)


async def one_page(db: Database, scope: Scope, job_id: JobId) -> bool:
    async with db.write(scope) as tx:
        return await bulk.bulk_page(tx, scope, job_id=job_id, now=NOW, page=2)


async def done(db: Database, scope: Scope, request: BulkRequest) -> Job:
    job_id = await started(db, scope, request)
    while await one_page(db, scope, job_id):
        pass
    async with db.read(scope) as tx:
        return await jobs.get(tx, scope, job_id=job_id)


async def killed_in_a_page(db: Database, scope: Scope, job_id: JobId) -> None:
    async with db.write(scope) as tx:
        await bulk.bulk_page(tx, scope, job_id=job_id, now=NOW, page=2)
        raise ZeroDivisionError


async def all_ids(db: Database, scope: Scope) -> list[int]:
    contacts = table_of(Contact).c
    async with db.read(scope) as tx:
        query = sa.select(contacts.id).where(contacts.tenant_id == scope.tenant_id).order_by(contacts.id)
        return list(await tx.scalars(query))


async def carriers(db: Database, scope: Scope, name: str) -> int:
    async with db.read(scope) as tx:
        tag = await tags.get_tag(tx, scope, name=name)
        return (await tags.counts(tx, scope, tag_ids=[tag.id or 0]))[tag.id or 0]


async def test_every_act(importing: Any, db: Database, scope: Scope) -> None:
    await importing(PEOPLE)
    ids = await all_ids(db, scope)
    rule = parse("country = DE")
    job = await done(db, scope, BulkRequest(Act.TAG, "vip", rule=rule))
    assert (job.state, job.done, job.total, job.result["changed"]) == ("done", 4, 4, 4)
    again = await done(db, scope, BulkRequest(Act.TAG, "vip", contact_ids=tuple(ids)))
    assert (again.done, again.result["changed"]) == (9, 5)
    assert (await done(db, scope, BulkRequest(Act.UNTAG, "VIP", rule=rule))).result["changed"] == 4
    assert await carriers(db, scope, "vip") == 5
    async with db.write(scope) as tx:
        await create_list(tx, scope, name="Second", now=NOW)
        await states.unsubscribe(tx, scope, contact_id=ids[1], now=NOW, reason="test")  # type: ignore[arg-type]
    assert (await done(db, scope, BulkRequest(Act.ADD_TO_LIST, "Second", rule=rule))).result["changed"] == 4
    members = table_of(ListMember).c
    async with db.read(scope) as tx:
        rows = await tx.execute(
            sa.select(members.contact_id, members.state).where(
                members.tenant_id == scope.tenant_id, members.contact_id.in_([ids[1], ids[3]])
            )
        )
        joined = {(row.contact_id, row.state) for row in rows}
    assert (ids[1], "unsubscribed") in joined  # who left stays gone
    assert (ids[3], "subscribed") in joined
    taken = await done(db, scope, BulkRequest(Act.REMOVE_FROM_LIST, "Second", rule=parse("list = Second")))
    assert taken.result["changed"] == 3
    assert (await done(db, scope, BulkRequest(Act.UNSUBSCRIBE, rule=rule))).result["changed"] == 3
    deleted = await done(db, scope, BulkRequest(Act.DELETE, rule=parse("state = unsubscribed")))
    assert (deleted.done, deleted.result["changed"]) == (4, 4)
    assert (await done(db, scope, BulkRequest(Act.DELETE, rule=parse("everyone")))).result["changed"] == 5


async def test_a_killed_job_goes_on_and_a_cancelled_one_does_not(
    importing: Any, db: Database, scope: Scope
) -> None:
    await importing(PEOPLE)
    job_id = await started(db, scope, BulkRequest(Act.TAG, "vip", rule=parse("everyone")))
    assert await one_page(db, scope, job_id)
    with pytest.raises(ZeroDivisionError):
        await killed_in_a_page(db, scope, job_id)
    assert await one_page(db, scope, job_id)
    async with db.read(scope) as tx:
        assert (await jobs.get(tx, scope, job_id=job_id)).done == await carriers(db, scope, "vip") == 4
    async with db.write(scope) as tx:
        await jobs.cancel(tx, scope, job_id=job_id, now=NOW)
    assert not await one_page(db, scope, job_id)
    assert await carriers(db, scope, "vip") == 4


async def test_only_ones_own_and_only_what_makes_sense(
    importing: Any, db: Database, scope: Scope, other: Scope
) -> None:
    await importing(PEOPLE)
    ids = tuple(await all_ids(db, scope))
    job = await done(db, other, BulkRequest(Act.DELETE, contact_ids=ids))
    assert (job.done, job.result["changed"]) == (0, 0)
    assert (await done(db, scope, BulkRequest(Act.DELETE, contact_ids=ids))).result["changed"] == 9
    viewer = Scope(scope.tenant_id, "viewer", frozenset())
    async with db.write(scope) as tx:
        with pytest.raises(Forbidden):
            await bulk.request_bulk(tx, viewer, BulkRequest(Act.DELETE, contact_ids=ids), now=NOW)
        for wrong in (
            BulkRequest(Act.DELETE),
            BulkRequest(Act.DELETE, contact_ids=()),
            BulkRequest(Act.DELETE, contact_ids=ids, rule=parse("everyone")),
            BulkRequest(Act.TAG, contact_ids=ids),
            BulkRequest(Act.DELETE, "x", contact_ids=ids),
            BulkRequest(Act.TAG, "x" * 101, contact_ids=ids),
            BulkRequest(Act.DELETE, rule=parse("nothing = x")),
        ):
            with pytest.raises(InvalidInput):
                await bulk.request_bulk(tx, scope, wrong, now=NOW)
        for missing in (
            BulkRequest(Act.ADD_TO_LIST, "Nowhere", contact_ids=ids),
            BulkRequest(Act.UNTAG, "nothing", contact_ids=ids),
            BulkRequest(Act.DELETE, segment="None"),
        ):
            with pytest.raises(NotFound):
                await bulk.request_bulk(tx, scope, missing, now=NOW)


async def test_whom_a_filter_matches(importing: Any, db: Database, scope: Scope, other: Scope) -> None:
    await importing(PEOPLE, tags=("fair",))
    await importing(PEOPLE, scope=other)
    ids = await all_ids(db, scope)
    some = Filter(text="p1@", state=ContactState.SUBSCRIBED)
    job = await done(db, scope, BulkRequest(Act.TAG, "one", chosen=some))
    assert (job.total, job.done, job.result["changed"], job.result["filter"]) == (1, 1, 1, None)
    async with db.read(scope) as tx:
        fair = await tags.get_tag(tx, scope, name="fair")
    tagged = Filter(tag_id=fair.id)
    job_id = await started(db, scope, BulkRequest(Act.DELETE, chosen=tagged))
    assert await one_page(db, scope, job_id)
    await importing("email\nlate@example.org\n", tags=("fair",))  # who comes after the question is not meant
    while await one_page(db, scope, job_id):
        pass
    assert len(await all_ids(db, scope)) == 10
    deleted = Filter(deleted=True)
    back = await done(db, scope, BulkRequest(Act.RESTORE, chosen=deleted))
    assert (back.total, back.result["changed"]) == (9, 9)
    await done(db, scope, BulkRequest(Act.DELETE, contact_ids=tuple(ids[:4])))
    one_by_one = await done(db, scope, BulkRequest(Act.RESTORE, contact_ids=tuple(ids[:5])))
    assert (one_by_one.done, one_by_one.result["changed"]) == (4, 4)
    await done(db, scope, BulkRequest(Act.DELETE, contact_ids=tuple(ids[:4])))
    async with db.write(scope) as tx:
        late = await bulk.do_at_once(
            tx, scope, BulkRequest(Act.RESTORE, chosen=deleted), now=NOW + timedelta(days=31)
        )
        assert (late.state, late.result["changed"]) == ("done", 0)
        for wrong in (
            BulkRequest(Act.RESTORE, chosen=Filter()),
            BulkRequest(Act.DELETE, chosen=deleted),
            BulkRequest(Act.RESTORE, rule=parse("everyone")),
            BulkRequest(Act.DELETE, chosen=Filter(), contact_ids=(1,)),
        ):
            with pytest.raises(InvalidInput):
                await bulk.request_bulk(tx, scope, wrong, now=NOW)
    assert (await done(db, other, BulkRequest(Act.TAG, "x", chosen=Filter()))).total == 9
