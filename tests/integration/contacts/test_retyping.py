"""An attribute becomes another kind: values are read anew, or stop it, or go; each tenant's own."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mailengine.core.errors import Conflict, Forbidden, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database
from mailengine.domain.contacts import attributes, retyping
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.jobs import jobs
from mailengine.models import AttributeKind, Contact, Job
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
PEOPLE = "email,code,city\na@x.example,007,Bonn\nb@x.example,12.50,\nc@x.example,x1,Köln\nd@x.example,,Bern\n"


async def retype(db: Database, scope: Scope, kind: AttributeKind, *, drop: bool = False) -> retyping.Retyped:
    return await retyping.retype(db, scope, name="code", kind=kind, drop=drop, now=NOW)


async def codes(stored: Stored, scope: Scope) -> list[Any]:
    return [row.attributes.get("code") for _address, row in sorted((await stored(scope)).items())]


async def kind_of(db: Database, scope: Scope) -> str:
    async with db.read(scope) as tx:
        return (await attributes.attribute_kinds(tx, scope))["code"].value


async def test_values_are_read_anew(
    importing: Importing, stored: Stored, db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retyping, "PAGE", 2)
    await importing(PEOPLE)
    before = await codes(stored, scope)
    assert before == ["007", "12.50", "x1", None]
    with pytest.raises(Refused, match=r"1 value of code cannot be read as number \('x1'\)"):
        await retype(db, scope, AttributeKind.NUMBER)
    assert (await codes(stored, scope), await kind_of(db, scope)) == (before, "text")
    planned = await retyping.rehearse(db, scope, name="code", kind=AttributeKind.NUMBER)
    done = await retype(db, scope, AttributeKind.NUMBER, drop=True)
    assert done == planned == retyping.Retyped(2, 1, ["'x1'"])
    assert await codes(stored, scope) == [7, 12.5, None, None]
    assert await kind_of(db, scope) == "number"
    assert await retype(db, scope, AttributeKind.NUMBER) == retyping.Retyped()
    assert (await retype(db, scope, AttributeKind.LIST)).changed == 2
    assert await codes(stored, scope) == [["7"], ["12.5"], None, None]
    assert [row.attributes.get("city") for _a, row in sorted((await stored(scope)).items())] == [
        "Bonn",
        None,
        "Köln",
        "Bern",
    ]


async def test_killed_in_the_middle_it_is_run_again(
    importing: Importing, stored: Stored, db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retyping, "PAGE", 1)
    await importing(PEOPLE)

    class Killed(Exception):
        pass

    def kill(done: retyping.Retyped) -> None:
        if done.changed == 2:
            raise Killed

    with pytest.raises(Killed):
        await retyping.retype(
            db, scope, name="code", kind=AttributeKind.LIST, drop=False, now=NOW, progress=kill
        )
    assert await kind_of(db, scope) == "text"
    await retype(db, scope, AttributeKind.LIST)
    assert await codes(stored, scope) == [["007"], ["12.50"], ["x1"], None]


async def test_another_tenants_is_not_there(
    importing: Importing, stored: Stored, db: Database, scope: Scope, other: Scope
) -> None:
    await importing(PEOPLE)
    with pytest.raises(NotFound):
        await retype(db, other, AttributeKind.LIST)
    await importing(PEOPLE, scope=other)
    await retype(db, other, AttributeKind.LIST)
    assert await codes(stored, scope) == ["007", "12.50", "x1", None]
    with pytest.raises(Forbidden):
        await retype(db, Scope(scope.tenant_id, "user:1", frozenset({Grant.READ})), AttributeKind.LIST)


async def ask(db: Database, scope: Scope, kind: AttributeKind, *, drop: bool = False) -> JobId:
    async with db.write(scope) as tx:
        job = await retyping.request_retype(tx, scope, name="code", kind=kind, drop=drop, now=NOW)
        return JobId(job.id or 0)


async def work(db: Database, scope: Scope, job_id: JobId) -> Job:
    """As the daemon does it; it starts the job again after every page, as if it were killed each time."""
    going_on = True
    while going_on:
        async with db.write(scope) as tx:
            await jobs.start(tx, scope, job_id=job_id, now=NOW)
        async with db.write(scope) as tx:
            going_on = await retyping.retype_page(tx, scope, job_id=job_id, now=NOW)
    async with db.read(scope) as tx:
        return await jobs.get(tx, scope, job_id=job_id)


async def test_as_a_job_it_looks_at_all_before_it_changes_one(
    importing: Importing,
    stored: Stored,
    db: Database,
    scope: Scope,
    other: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retyping, "PAGE", 2)
    await importing(PEOPLE)
    await importing(PEOPLE, scope=other)
    stopped = await ask(db, scope, AttributeKind.NUMBER)
    with pytest.raises(Conflict, match=f"job {stopped} changes code already"):
        await ask(db, scope, AttributeKind.LIST)
    with pytest.raises(Refused, match="1 value of code cannot be read as number; change") as refused:
        await work(db, scope, stopped)
    assert "x1" not in str(refused.value), "what a job says is kept, and this is somebody's"
    assert await codes(stored, scope) == ["007", "12.50", "x1", None]
    async with db.write(scope) as tx:
        await jobs.fail(tx, scope, job_id=stopped, now=NOW, error=str(refused.value))
    job = await work(db, scope, await ask(db, scope, AttributeKind.NUMBER, drop=True))
    assert (job.state, job.done, job.result["changed"], job.result["unreadable"]) == ("done", 8, 2, 1)
    assert await codes(stored, scope) == [7, 12.5, None, None]
    assert await kind_of(db, scope) == "number"
    assert await codes(stored, other) == ["007", "12.50", "x1", None]
    with pytest.raises(NotFound):
        async with db.write(other) as tx:
            await retyping.request_retype(
                tx, other, name="nothing", kind=AttributeKind.LIST, drop=False, now=NOW
            )
