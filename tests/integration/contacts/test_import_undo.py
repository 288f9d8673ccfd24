"""What files say of states and tags, the audited way back for those who left, and imports that are taken back."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.clock import ManualClock
from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from mailengine.core.ids import ContactId, JobId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts import consents, editing, lists, states, suppression, tags
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.rehearse import rehearse
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.undo import begin, pieces, rehearse_undo
from mailengine.domain.contacts.suppression import Target, erased_hash, parse_target
from mailengine.domain.jobs import jobs
from mailengine.domain.privacy.erase import erase
from mailengine.domain.reports.timeline import timeline
from mailengine.models import (
    AuditEntry,
    Consent,
    Contact,
    Job,
    JobState,
    ListMember,
    Suppression,
    SuppressionKind,
)
from support.house import KEYRING, NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
Membership = Callable[[Scope], Awaitable[dict[int, str]]]
HASH_KEY = KEYRING.derive(suppression.HASH_PURPOSE)


async def tags_by_name(db: Database, scope: Scope, people: dict[str, Contact]) -> dict[str, list[str]]:
    async with db.read(scope) as tx:
        found = await tags.tags_of(tx, scope, [row.id or 0 for row in people.values()])
    names = {row.id: address.partition("@")[0] for address, row in people.items()}
    return {names[contact_id]: theirs for contact_id, theirs in found.items()}


async def undo(around: Surroundings, scope: Scope, job: int | None) -> Job:
    async with around.db.write(scope) as tx:
        begun = await begin(tx, scope, import_id=JobId(job or 0), now=around.clock.now())
        job_id = JobId(begun.id or 0)
        await jobs.start(tx, scope, job_id=job_id, now=around.clock.now())
    async for _ in pieces(around.db, around.clock, scope, job_id):
        pass
    async with around.db.read(scope) as read:
        return await jobs.get(read, scope, job_id=job_id)


async def test_a_file_takes_people_out_and_never_back(
    importing: Importing, stored: Stored, scope: Scope
) -> None:
    await importing(
        "email,status\nin@example.org,active\nout@example.org,unsubscribed\nwait@example.org,pending\n"
    )
    report = await importing(
        "email,status\nin@example.org,cleaned\nout@example.org,active\nwait@example.org,active\nnew@example.org,spam\n"
    )
    assert {name.partition("@")[0]: row.state for name, row in (await stored(scope)).items()} == {
        "in": "bounced",
        "out": "unsubscribed",
        "wait": "unconfirmed",
        "new": "complained",
    }
    assert (report.counts.left, report.counts.kept_unsubscribed, report.counts.updated) == (2, 1, 1)
    odd = await importing("email,contact state\nx@example.org,perhaps\n")
    assert odd.errors[0].reason.startswith("'perhaps' is no state of a contact; use subscribed, ")


async def test_tags_come_from_cells_and_for_everybody(
    importing: Importing, stored: Stored, scope: Scope, other: Scope, db: Database
) -> None:
    await importing("email,tags\na@example.org,vip|beta\nb@example.org,VIP\nc@example.org,\n")
    long = "x" * 101
    report = await importing(f"email,tags\na@example.org,new\nd@example.org,{long}\n", tags=("fair 2026",))
    assert [error.line for error in report.errors] == [3]
    people = await stored(scope)
    assert await tags_by_name(db, scope, people) == {
        "a": ["beta", "fair 2026", "new", "vip"],
        "b": ["vip"],
    }
    assert await tags_by_name(db, other, people) == {}


async def test_attributes_keep_their_kind(importing: Importing, stored: Stored, scope: Scope) -> None:
    first = await importing(
        "email,score,day,member,likes\na@example.org,7,24.12.2025,TRUE,\nb@example.org,8.5,2025-01-01,false,\n",
        mapping={"likes": "likes:list"},
    )
    assert first.kinds == {"score": "number", "day": "date", "member": "boolean", "likes": "list"}
    again = await importing("email,score,likes\na@example.org,many,\nb@example.org,9,tea;maths\n")
    assert (again.errors[0].line, again.errors[0].reason[:5]) == (2, "score")
    found = (await stored(scope))["b@example.org"].attributes
    assert found == {"score": 9, "day": "2025-01-01", "member": False, "likes": ["tea", "maths"]}
    with pytest.raises(InvalidInput, match="score is known as number and cannot be text too"):
        await importing("email,score\na@example.org,1\n", mapping={"score": "score:text"})


async def test_the_way_back_for_those_who_left_is_audited(
    importing: Importing, stored: Stored, membership: Membership, scope: Scope, db: Database
) -> None:
    await importing("email\na@example.org\nb@example.org\nc@example.org\n")
    ids = {name: ContactId(row.id or 0) for name, row in (await stored(scope)).items()}
    erased = Target(SuppressionKind.HASH, erased_hash(HASH_KEY, "e@example.org"))
    async with db.write(scope) as tx:
        await states.unsubscribe(tx, scope, contact_id=ids["a@example.org"], now=NOW, reason="link")
        await suppression.suppress_all(
            tx,
            scope,
            [parse_target("b@example.org"), parse_target("@bad.example"), erased],
            reason="x",
            now=NOW,
        )
    text = (
        "email,contact state\na@example.org,\nb@example.org,\nc@example.org,unsubscribed\n"
        "e@example.org,\nf@bad.example,\n"
    )
    editor = replace(scope, grants=frozenset({Grant.READ, Grant.EDIT}))
    with pytest.raises(Forbidden, match="manage"):
        await importing(text, override_suppression=True, scope=editor)
    assert (await importing(text)).counts.brought_back == 0
    report = await importing(text, override_suppression=True)
    assert {name[0]: row.state for name, row in (await stored(scope)).items()} == {
        "a": "subscribed",
        "b": "subscribed",
        "c": "unsubscribed",
        "e": "subscribed",
        "f": "suppressed",  # a whole domain: nobody meant it
    }
    assert report.counts.brought_back == 3
    async with db.read(scope) as tx:
        entries = {row.action for row in await tx.scalars(owned(AuditEntry, scope))}
        assert not await suppression.suppressed(tx, scope, ["b@example.org"])
    assert "suppression.override" in entries


async def test_an_import_that_brought_people_back_is_taken_back_with_what_kept_them_out(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, db: Database
) -> None:
    await importing("email\nknown@example.org\n")
    erased = Target(SuppressionKind.HASH, erased_hash(HASH_KEY, "erased@example.org"))
    async with db.write(scope) as tx:
        targets = [parse_target("known@example.org"), parse_target("new@example.org"), erased]
        await suppression.suppress_all(tx, scope, targets, reason="asked by phone", source="Ann", now=NOW)
    text = "email\nknown@example.org\nnew@example.org\nerased@example.org\nother@example.org\n"
    path = around.data_dir / "again.csv"
    path.write_text(text)
    request = ImportRequest(path, "Customers", override_suppression=True)
    assert (await rehearse(around, scope, request)).counts.brought_back == 3
    report = await importing(text, override_suppression=True)
    assert report.counts.brought_back == 3
    async with db.read(scope) as tx:
        assert not (await tx.scalars(owned(Suppression, scope))).all()
        (entry,) = await tx.scalars(
            owned(AuditEntry, scope).where(col(AuditEntry.action) == "suppression.override")
        )
    assert entry.details == {"contacts": 3}
    assert (await undo(around, scope, report.job)).result["counts"]["suppressed"] == 3
    async with db.read(scope) as tx:
        entries = {(row.value, row.reason, row.source) for row in await tx.scalars(owned(Suppression, scope))}
    assert entries == {(target.value, "asked by phone", "Ann") for target in targets}
    again = await importing(text)
    assert [error.reason for error in again.errors] == ["this person asked to be forgotten"]
    people = {
        name.partition("@")[0]: row for name, row in (await stored(scope)).items() if not row.deleted_at
    }
    assert {name: row.state for name, row in people.items()} == {
        "known": "suppressed",
        "new": "suppressed",
        "other": "subscribed",
    }


CHANGING = "email,first name,last name,city,score,contact state,tags\n"


async def test_an_import_is_taken_back(
    importing: Importing,
    around: Surroundings,
    stored: Stored,
    membership: Membership,
    scope: Scope,
    other: Scope,
    db: Database,
) -> None:
    clock = around.clock
    assert isinstance(clock, ManualClock)
    await importing(
        CHANGING
        + "old@example.org,Ann,Lee,Bonn,1,,vip\nsame@example.org,Bob,,,,,\nedited@example.org,Cem,,Bonn,,,\n"
    )
    before = {name: row.model_dump(exclude={"updated_at"}) for name, row in (await stored(scope)).items()}
    clock.advance(timedelta(hours=1))
    report = await importing(
        CHANGING
        + "Old@example.org,Anna,,Köln,2,unsubscribed,vip|new\nsame@example.org,Bob,,,,,\n"
        + "edited@example.org,Cemal,,Köln,,,\n"
        + "fresh@example.org,Dora,,,,,new\nkept@example.org,Eva,,,,,\n",
        list_name="Second",
        on_duplicate=OnDuplicate.OVERWRITE,
    )
    assert (report.counts.created, report.counts.updated, report.counts.unchanged) == (2, 2, 1)
    clock.advance(timedelta(hours=1))
    people = await stored(scope)
    async with db.write(scope) as tx:
        for name, changes in (
            ("edited@example.org", editing.ContactChanges(first_name="Jem")),
            ("kept@example.org", editing.ContactChanges(first_name="Ewa")),
        ):
            contact_id = ContactId(people[name].id or 0)
            await editing.update(tx, scope, contact_id=contact_id, changes=changes, now=clock.now())
    assert report.job is not None
    with pytest.raises(NotFound):
        await rehearse_undo(db, clock, other, import_id=JobId(report.job))
    expected = {"deleted": 1, "kept": 1, "off_list": 2, "untagged": 1, "given_back": 2}
    assert await rehearse_undo(db, clock, scope, import_id=JobId(report.job)) == expected
    assert (await stored(scope))["Old@example.org"].first_name == "Anna"
    job = await undo(around, scope, report.job)
    assert (job.state, job.result["counts"]) == (JobState.DONE, expected)
    after = await stored(scope)
    assert after["old@example.org"].model_dump(exclude={"updated_at"}) == before["old@example.org"]
    assert after["same@example.org"].model_dump(exclude={"updated_at"}) == before["same@example.org"]
    assert (after["edited@example.org"].first_name, after["edited@example.org"].attributes) == (
        "Jem",
        {"city": "Bonn"},
    )
    assert (after["fresh@example.org"].deleted_at, after["kept@example.org"].deleted_at) == (
        clock.now(),
        None,
    )
    assert (await tags_by_name(db, scope, after))["old"] == ["vip"]
    async with db.read(scope) as tx:
        second = await lists.get_list(tx, scope, name="Second")
        on_second = await tx.scalars(owned(ListMember, scope).where(col(ListMember.list_id) == second.id))
        assert {row.contact_id for row in on_second} == {
            after["fresh@example.org"].id,
            after["kept@example.org"].id,
        }
    assert after["same@example.org"].id in await membership(scope)  # on the first list still
    with pytest.raises(Conflict, match="taken back already"):
        await undo(around, scope, report.job)
    with pytest.raises(InvalidInput, match="is no import"):
        await undo(around, scope, job.id)


async def test_an_agreement_that_an_import_wrote_is_taken_back(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, db: Database
) -> None:
    clock = around.clock
    assert isinstance(clock, ManualClock)
    first = (
        "email,consent source,consent date\na@example.org,fair,2025-01-02\nb@example.org,fair,2025-01-02\n"
    )
    await importing(first)
    clock.advance(timedelta(hours=1))
    report = await importing(first.replace("fair", "web form"), on_duplicate=OnDuplicate.OVERWRITE)
    clock.advance(timedelta(hours=1))
    people = await stored(scope)
    async with db.write(scope) as tx:  # b agrees again, themselves
        contact_id = ContactId(people["b@example.org"].id or 0)
        await states.unsubscribe(tx, scope, contact_id=contact_id, now=clock.now(), reason="link")
        await states.resubscribe(tx, scope, contact_id=contact_id, now=clock.now(), reason="link")
    assert await acts_of(db, scope, people["a@example.org"]) == [("given", "fair"), ("given", "web form")]
    await undo(around, scope, report.job)
    after = await stored(scope)
    assert await acts_of(db, scope, after["a@example.org"]) == [("given", "fair")]
    assert after["a@example.org"].consent_source == "fair"
    assert (await acts_of(db, scope, after["b@example.org"]))[-1] == ("given", "resubscribed: link")
    assert after["b@example.org"].consent_source == "resubscribed: link"


async def test_who_left_by_a_file_has_withdrawn_and_agreed_to_nothing(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, db: Database
) -> None:
    await importing("email\nknown@example.org\n")
    report = await importing(
        "email,status,consent source\nknown@example.org,unsubscribed,\nnew@example.org,unsubscribed,\n"
        "said@example.org,complained,fair\nhard@example.org,bounced,\n"
    )
    people = await stored(scope)
    assert {name.partition("@")[0]: await acts_of(db, scope, row) for name, row in people.items()} == {
        "known": [("given", "import of file-0.csv"), ("withdrawn", "import of file-1.csv")],
        "new": [("withdrawn", "import of file-1.csv")],
        "said": [("given", "fair"), ("withdrawn", "import of file-1.csv")],
        "hard": [("given", "import of file-1.csv")],
    }
    await undo(around, scope, report.job)
    known = (await stored(scope))["known@example.org"]
    assert known.state == "subscribed"
    assert await acts_of(db, scope, known) == [("given", "import of file-0.csv")]


@pytest.mark.parametrize("between", [0, 2_500])  # in the same batch, and in the next one
async def test_a_later_row_that_says_they_left_counts(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, db: Database, between: int
) -> None:
    await importing("email,first name\nold@example.org,Ann\n")
    clock = around.clock
    assert isinstance(clock, ManualClock)
    clock.advance(timedelta(hours=1))
    text = (
        "email,first name,status,tags\nold@example.org,Anna,active,\nnew@example.org,Bob,active,\n"
        "gone@example.org,Cem,unsubscribed,\n"
        + "".join(f"p{number}@example.org,,active,\n" for number in range(between))
        + "old@example.org,Nobody,unsubscribed,vip\nnew@example.org,Nobody,bounced,vip\n"
        "gone@example.org,Nobody,active,vip\n"
    )
    path = around.data_dir / "twice.csv"
    path.write_text(text)
    request = ImportRequest(path, "Customers", on_duplicate=OnDuplicate.OVERWRITE)
    assert (await rehearse(around, scope, request)).counts.left == 3
    report = await importing(text, on_duplicate=OnDuplicate.OVERWRITE)
    assert (report.counts.left, report.counts.duplicates, report.counts.rows) == (3, 3, 6 + between)
    people = {name.partition("@")[0]: row for name, row in (await stored(scope)).items()}
    found = {name: (people[name].first_name, people[name].state) for name in ("old", "new", "gone")}
    assert found == {
        "old": ("Anna", "unsubscribed"),
        "new": ("Bob", "bounced"),
        "gone": ("Cem", "unsubscribed"),
    }
    assert await tags_by_name(db, scope, await stored(scope)) == {}
    await undo(around, scope, report.job)
    old = (await stored(scope))["old@example.org"]
    assert (old.first_name, old.state) == ("Ann", "subscribed")


async def test_what_a_file_says_of_consent_is_their_history_from_the_first_day(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, other: Scope, db: Database
) -> None:
    report = await importing(
        "email,consent source,consent date,consent ip,status\n"
        "a@example.org,fair,2025-01-02,192.0.2.7,active\nb@example.org,,,,active\nc@example.org,,,,unsubscribed\n"
    )
    await importing("email\na@example.org\n", scope=other, consent_source="theirs")
    people = {row.id or 0: address for address, row in (await stored(scope)).items()}
    wanted = [
        ("a@example.org", "given", "fair", datetime(2025, 1, 2, tzinfo=UTC), "192.0.2.7"),
        ("b@example.org", "given", "import of file-0.csv", NOW, ""),
        ("c@example.org", "withdrawn", "import of file-0.csv", NOW, ""),
    ]

    async def kept() -> list[tuple[Any, ...]]:
        async with db.read(scope) as tx:
            acts = (await tx.scalars(owned(Consent, scope))).all()
        return sorted((people[act.contact_id], act.act, act.source, act.at, act.ip) for act in acts)

    assert await kept() == wanted
    contact = (await stored(scope))["a@example.org"]
    async with db.read(scope) as tx:
        first = await timeline(tx, scope, contact_id=contact.id or 0, page=PageRequest(10, None))
    assert [entry.at for entry in first.items if entry.kind == "consent given"] == [wanted[0][3]]
    await undo(around, scope, report.job)  # who is deleted can be restored, with what they had agreed to
    assert await kept() == wanted
    again = await importing("email\na@example.org\nb@example.org\nc@example.org\n")
    assert again.counts.restored == 3
    assert await kept() == wanted
    async with db.write(scope) as tx:
        await erase(tx, scope, address="a@example.org", hash_key=HASH_KEY, now=NOW)
    assert {(act[2], act[4]) for act in await kept() if act[0] == "a@example.org"} == {("[Deleted]", "")}
    assert await acts_of(db, other, (await stored(other))["a@example.org"]) == [("given", "theirs")]


async def acts_of(db: Database, scope: Scope, contact: Contact) -> list[tuple[str, str]]:
    async with db.read(scope) as tx:
        return [(each.act, each.source) for each in await consents.history(tx, scope, contact=contact)]


async def test_what_cannot_be_taken_back(
    importing: Importing, around: Surroundings, scope: Scope, db: Database, stored: Stored
) -> None:
    report = await importing("email\na@example.org\n")
    assert isinstance(around.clock, ManualClock)
    around.clock.advance(timedelta(days=30, seconds=1))
    with pytest.raises(Refused, match="more than 30 days ago"):
        await undo(around, scope, report.job)
    viewer = replace(scope, grants=frozenset({Grant.READ}))
    with pytest.raises(Forbidden):
        await undo(around, viewer, report.job)
    assert (await stored(scope))["a@example.org"].deleted_at is None


async def test_who_an_import_restored_is_deleted_again(
    importing: Importing, around: Surroundings, scope: Scope, db: Database, stored: Stored
) -> None:
    first = await importing("email\na@example.org\n")
    await undo(around, scope, first.job)
    again: Any = await importing("email\na@example.org\n")
    assert (again.counts.restored, (await stored(scope))["a@example.org"].deleted_at) == (1, None)
    await undo(around, scope, again.job)
    assert (await stored(scope))["a@example.org"].deleted_at is not None


async def test_sqlite_finds_contacts_by_their_ids_without_reading_the_tenant(
    importing: Importing, around: Surroundings, stored: Stored, scope: Scope, db: Database
) -> None:
    """It has no statistics, and takes a tenant for smaller than a list of ids where the statement lets it."""
    if db.postgres:
        pytest.skip("PostgreSQL has statistics, or is told to use what has an index")
    said: list[tuple[str, Any]] = []

    def listen(
        _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool
    ) -> None:
        if not many and "contacts.id IN" in statement:
            said.append((statement, values))

    report = await importing("email\n" + "".join(f"p{n}@example.org\n" for n in range(200)))
    ids = [row.id or 0 for row in (await stored(scope)).values()]
    sa.event.listen(db.writer.sync_engine, "before_cursor_execute", listen)
    try:
        await importing("email\n" + "".join(f"q{n}@example.org\n" for n in range(200)))
        async with db.write(scope) as tx:
            assert await states.mark_bounced(tx, scope, ids[:100], around.clock.now()) == 100
        await undo(around, scope, report.job)
    finally:
        sa.event.remove(db.writer.sync_engine, "before_cursor_execute", listen)
    assert len(said) == 3
    async with db.read(scope) as tx:
        for statement, values in said:
            found = await (await tx.connection()).exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)
            assert "SEARCH contacts USING INTEGER PRIMARY KEY (rowid=?)" in [row[3] for row in found], (
                statement
            )
