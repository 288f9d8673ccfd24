"""Batches of an import that PostgreSQL stores at the same time: in the file's order, and never in each other's way.

The first batch of a file has 2,000 rows, the others 4,000.
"""

import asyncio
import csv
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.contacts import tags
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings, errors_path
from mailengine.domain.contacts.imports.run import import_file, resume
from mailengine.domain.contacts.imports.upload_jobs import pieces, queue_upload
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, ContactTag, Job, Tag
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]


def people(count: int, tag: Callable[[int], str] = lambda _number: "") -> str:
    return "email,tags\n" + "".join(f"p{number}@example.org,{tag(number)}\n" for number in range(count))


async def count(tx: ReadTx, scope: Scope, model: type[Contact] | type[ContactTag]) -> int:
    found = sa.select(sa.func.count()).select_from(model).where(tenant_of(model) == scope.tenant_id)
    return await tx.scalar(found) or 0


async def exhaust(work: AsyncGenerator[None]) -> None:
    async for _ in work:
        pass


async def locked(tx: ReadTx, scope: Scope, number: int, *, wait: bool) -> bool:
    """Lock a contact; False when somebody else has."""
    wanted = owned(Contact, scope).where(col(Contact.email_key) == f"p{number}@example.org")
    return (await tx.scalars(wanted.with_for_update(skip_locked=not wait))).first() is not None


async def test_one_that_waits_for_its_turn_holds_up_nobody_whom_another_waits_for(
    importing: Importing, db: Database, scope: Scope
) -> None:
    """The first batch waits for a stranger, the stranger for the second batch, and this for the first."""
    if not db.postgres:
        pytest.skip("SQLite has one writer at a time")
    await importing("email\np0@example.org\np2000@example.org\n")

    async def free() -> bool:
        async with db.read(scope) as look:
            return await locked(look, scope, 2000, wait=False)

    async with asyncio.timeout(60):
        async with db.write(scope) as stranger:
            assert await locked(stranger, scope, 0, wait=True)
            running = asyncio.create_task(importing(people(10_000)))
            while await free():
                assert not running.done()
            assert await locked(stranger, scope, 2000, wait=True)
        report = await running
    assert (report.counts.created, report.counts.unchanged) == (9_998, 2)


async def test_a_tag_is_written_as_the_file_has_it_first(
    importing: Importing, db: Database, scope: Scope
) -> None:
    """The third batch has three short rows, and would have made the tag before the second."""

    def spelled(number: int) -> str:
        if number < 5_999:
            return ""
        return "ViP" if number == 5_999 else "VIP"

    long = "x" * 3_000
    rows = [
        f"p{number}@example.org,{spelled(number)},{long if number < 6_000 else ''}" for number in range(6_003)
    ]
    report = await importing("\n".join(["email,tags,note", *rows]))
    assert report.counts.created == 6_003
    async with db.read(scope) as tx:
        assert [tag.name for tag in await tx.scalars(owned(Tag, scope))] == ["ViP"]
        assert await count(tx, scope, ContactTag) == 4


async def test_a_batch_that_fails_takes_back_those_after_it(
    around: Surroundings, db: Database, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    path = tmp_path / "people.csv"
    path.write_text(people(14_000, lambda number: f"t{number}" if 2_000 <= number < 2_004 else ""))
    with pytest.raises(InvalidInput, match="tags"):
        await import_file(around, scope, ImportRequest(path, "Customers"))
    async with db.read(scope) as tx:
        assert await count(tx, scope, Contact) == 2_000
        job = (await tx.scalars(owned(Job, scope))).one()
    assert (job.state, job.done) == ("failed", 2_000)
    monkeypatch.undo()
    report = await resume(around, scope, job_id=JobId(job.id or 0))
    assert (report.counts.rows, report.counts.created) == (14_000, 14_000)


async def test_a_run_that_another_took_over_stores_nothing_more(
    around: Surroundings, db: Database, scope: Scope, tmp_path: Path
) -> None:
    """A daemon that hung goes on while another has the lease."""
    path = tmp_path / "people.csv"
    rows = [f"p{number}@example.org\n" if number % 100 else f"{number} bad\n" for number in range(20_000)]
    path.write_text("email\n" + "".join(rows))
    async with db.write(scope) as tx:
        request = ImportRequest(path, "Customers")
        job_id = JobId((await queue_upload(tx, scope, request, name="people.csv", now=NOW)).id or 0)
        await jobs.start(tx, scope, job_id=job_id, now=NOW)
    slow, quick = pieces(around, scope, job_id), pieces(around, scope, job_id)
    await anext(slow)
    await anext(quick)
    with pytest.raises(jobs.TakenOver):
        await exhaust(slow)
    await exhaust(quick)
    async with db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
        assert await count(tx, scope, Contact) == 19_800
    counts = job.result["counts"]
    assert (job.state, job.done, counts["created"], counts["rejected"]) == ("done", 20_000, 19_800, 200)
    with errors_path(tmp_path, job_id).open(newline="") as file:
        assert len(list(csv.reader(file))) == 201
