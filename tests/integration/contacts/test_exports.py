"""Exports on real databases: what a file says comes back equal, and only the tenant's own people are in it."""

import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import ContactId, JobId
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts, states
from mailengine.domain.contacts.exports import chosen
from mailengine.domain.contacts.exports.chosen import Choice
from mailengine.domain.contacts.exports.formats import Format
from mailengine.domain.contacts.exports.run import download, pieces, queue, stream
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import Surroundings
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, JobState
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]

FILE = (
    "email,first name,last name,note,score,day,member,likes,tags\n"
    "+plus@example.org,=cmd|' /C calc'!A0,@Lee,'quoted,7,2025-12-24,true,tea|maths,vip|a;b\n"
    '"odd@example.org",Zoë,山田,"two\nlines, and ""quotes""",-1.5,2025-01-01T10:00:00Z,false,"[""a|b""]",\n'
    "plain@example.org,,,,,,,,\n"
)
MAPPING = {"likes": "likes:list", "day": "day:date"}


async def text_of(around: Surroundings, scope: Scope, form: Format = Format.CSV, **choice: str) -> str:
    return "".join([text async for text, _ in stream(around.db, around.clock, scope, Choice(**choice), form)])


def emails(text: str) -> list[str]:
    return [row["email"].removeprefix("'") for row in csv.DictReader(io.StringIO(text))]


async def test_what_was_exported_comes_back_equal(
    importing: Importing,
    around: Surroundings,
    scope: Scope,
    other: Scope,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chosen, "PAGE", 2)
    report = await importing(FILE, mapping=MAPPING)
    assert report.counts.created == 3
    mine = await stored(scope)
    async with around.db.write(scope) as tx:
        contact_id = ContactId(mine["odd@example.org"].id or 0)
        await states.unsubscribe(tx, scope, contact_id=contact_id, now=NOW, reason="link")
    text = await text_of(around, scope)
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
    again = await importing(text, scope=other, mapping={"likes": "likes:list"})
    assert (again.format, again.counts.created, again.counts.left) == ("mailengine", 3, 1)
    theirs = await stored(other)

    def known(people: dict[str, Contact]) -> dict[str, object]:
        fields = ("first_name", "last_name", "state", "attributes", "consent_source", "consent_at")
        return {name: [getattr(row, field) for field in fields] for name, row in people.items()}

    assert known(await stored(scope)) == known(theirs)
    assert theirs["+plus@example.org"].first_name == "=cmd|' /C calc'!A0"
    assert await text_of(around, scope, tag="vip") != ""


async def test_json_lines(importing: Importing, around: Surroundings, scope: Scope) -> None:
    await importing(FILE, mapping=MAPPING)
    rows = [json.loads(line) for line in (await text_of(around, scope, Format.JSONL)).splitlines()]
    first = next(row for row in rows if row["email"] == "+plus@example.org")
    assert first["attributes"] == {
        "note": "'quoted",
        "score": 7,
        "day": "2025-12-24",
        "member": True,
        "likes": ["tea", "maths"],
    }
    assert (first["tags"], first["lists"]) == (["a;b", "vip"], {"Customers": "subscribed"})


async def test_a_part_of_them(
    importing: Importing, around: Surroundings, scope: Scope, other: Scope, db: Database
) -> None:
    await importing("email,city,tags\na@example.org,Bonn,vip\nb@example.org,Köln,\nc@example.org,Bonn,\n")
    await importing("email\nd@example.org\n", list_name="Second")
    await importing("email\nx@example.org\n", scope=other)
    async with db.write(scope) as tx:
        await contacts.soft_delete(tx, scope, address="c@example.org", now=NOW)
    assert emails(await text_of(around, scope)) == ["a@example.org", "b@example.org", "d@example.org"]
    assert emails(await text_of(around, scope, list_name="Second")) == ["d@example.org"]
    assert emails(await text_of(around, scope, tag="vip")) == ["a@example.org"]
    assert emails(await text_of(around, scope, where="attribute.city = Bonn", list_name="Customers")) == [
        "a@example.org"
    ]
    assert emails(await text_of(around, scope, state="bounced")) == []
    with pytest.raises(InvalidInput):
        await text_of(around, scope, where="nonsense ===")
    with pytest.raises(NotFound):
        await text_of(around, scope, segment="nothing")


async def test_as_a_job_whose_file_expires(
    importing: Importing,
    around: Surroundings,
    scope: Scope,
    other: Scope,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chosen, "PAGE", 2)
    await importing("email\n" + "".join(f"p{n}@example.org\n" for n in range(5)))
    clock, folder = around.clock, around.data_dir
    assert isinstance(clock, ManualClock)
    async with db.write(scope) as tx:
        job = await queue(tx, scope, Choice(), Format.CSV, clock=clock)
        job_id = JobId(job.id or 0)
        await jobs.start(tx, scope, job_id=job_id, now=clock.now())
    work = pieces(db, clock, folder, scope, job_id)
    await anext(work)
    await work.aclose()  # the daemon stopped in the middle, and something torn is left behind
    with (folder / "exports" / f"{job_id}-contacts.csv").open("a") as file:
        file.write("torn")
    async with db.read(scope) as tx:
        with pytest.raises(Conflict, match="is running"):
            await download(tx, scope, job_id=job_id, data_dir=folder, clock=clock)
    async for _ in pieces(db, clock, folder, scope, job_id):
        pass
    path: Path
    async with db.read(scope) as tx:
        assert (await jobs.get(tx, scope, job_id=job_id)).state == JobState.DONE
        path, name = await download(tx, scope, job_id=job_id, data_dir=folder, clock=clock)
    assert (emails(path.read_text()), name) == (
        [f"p{n}@example.org" for n in range(5)],
        f"contacts-{NOW:%Y-%m-%d}.csv",
    )
    assert path.stat().st_mode & 0o077 == 0
    async with db.read(other) as tx:
        with pytest.raises(NotFound):
            await download(tx, other, job_id=job_id, data_dir=folder, clock=clock)
    clock.advance(timedelta(days=8))
    async with db.read(scope) as tx:
        with pytest.raises(NotFound, match="export again"):
            await download(tx, scope, job_id=job_id, data_dir=folder, clock=clock)
