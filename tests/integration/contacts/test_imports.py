"""Imports on real databases: what is stored, what is reported, what never changes."""

import asyncio
import csv
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import ContactId, JobId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts import consents, contacts, lists, states, suppression
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.rehearse import rehearse
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file, resume
from mailengine.domain.contacts.suppression import Target, erased_hash, parse_target
from mailengine.domain.jobs import jobs
from mailengine.models import (
    Attribute,
    Consent,
    Contact,
    ContactList,
    Job,
    JobState,
    ListMember,
    SuppressionKind,
)
from support.house import INSTANCE, KEYRING, NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
Membership = Callable[[Scope], Awaitable[dict[int, str]]]
_READ = sa.text(
    "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
    " WHERE relname = 'contacts'"
)
HASH_KEY = KEYRING.derive(suppression.HASH_PURPOSE)


async def test_a_file_becomes_contacts_on_a_list(
    importing: Importing, stored: Stored, membership: Membership, scope: Scope, db: Database
) -> None:
    report = await importing(
        "E-Mail;Vorname;Nachname;Geburtsdatum\n"
        "Jürgen@Example.ORG;Jürgen;Müller;1980-01-01\n"
        "keine adresse;X;Y;\n"
        "juergen2@example.org;  Jürgen  Karl ;;\n"
        "JÜRGEN@example.org;nochmal;;\n"
    )
    assert (report.counts.created, report.counts.rejected, report.counts.duplicates) == (2, 1, 1)
    assert (report.encoding, report.delimiter) == ("UTF-8", "semicolon")
    people = await stored(scope)
    first = people["Jürgen@example.org"]
    assert (first.first_name, first.last_name) == ("Jürgen", "Müller")
    assert first.attributes == {"geburtsdatum": "1980-01-01"}
    assert (first.state, first.consent_source, first.consent_at) == (
        "subscribed",
        "import of file-0.csv",
        NOW,
    )
    assert people["juergen2@example.org"].first_name == "Jürgen Karl"
    assert set((await membership(scope)).values()) == {"subscribed"}
    async with db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=JobId(report.job or 0))
        labels = [row.label for row in await tx.scalars(owned(Attribute, scope))]
    assert (job.state, job.done, labels) == (JobState.DONE, 4, ["Geburtsdatum"])
    assert "juergen2" not in str(job.result)


async def test_bad_rows_go_into_a_file_that_can_be_imported_again(importing: Importing, scope: Scope) -> None:
    report = await importing(
        'email,name\na@example.org,"two\nlines"\nnobody,=1+1\nb@example.org,x,y\n"c@example.org,oops\nd@example.org,D\n'
    )
    assert [(error.line, error.fields) for error in report.errors] == [
        (4, ["nobody", "=1+1"]),
        (5, ["b@example.org", "x", "y"]),
        (6, ['"c@example.org', "oops"]),
    ]
    assert report.counts.created == 2
    assert report.errors_file is not None
    with report.errors_file.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["import_line", "import_reason", "email", "name"]
    assert rows[1] == ["4", "address: there is no @", "nobody", "=1+1"]
    mended = report.errors_file.read_text().replace("nobody", "e@example.org")
    again = await importing(mended)
    assert (again.counts.created, again.mapping["import_line"]) == (1, "ignore")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (OnDuplicate.SKIP, ("Ann", "Old", {"city": "Bonn", "plan": "free"}, 1, 0)),
        (OnDuplicate.UPDATE, ("Anna", "Old", {"city": "Bonn", "plan": "pro"}, 0, 1)),
        (OnDuplicate.OVERWRITE, ("Anna", "", {"plan": "pro"}, 0, 1)),
    ],
)
async def test_known_contacts_follow_the_rule(
    importing: Importing, stored: Stored, scope: Scope, rule: OnDuplicate, expected: tuple[Any, ...]
) -> None:
    await importing("email,first name,last name,city,plan\na@example.org,Ann,Old,Bonn,free\n")
    report = await importing(
        "email,first name,last name,city,plan\nA@example.org,Anna,,,pro\n", on_duplicate=rule
    )
    (found,) = (await stored(scope)).values()
    counts = report.counts
    assert (
        found.first_name,
        found.last_name,
        found.attributes,
        counts.unchanged,
        counts.updated,
    ) == expected


@pytest.mark.parametrize("rule", OnDuplicate)
async def test_nobody_who_left_comes_back(
    importing: Importing,
    stored: Stored,
    membership: Membership,
    scope: Scope,
    db: Database,
    rule: OnDuplicate,
) -> None:
    text = "email,city\n" + "".join(f"p{n}@example.org,Bonn\n" for n in range(6))
    await importing(text)
    people = {name.partition("@")[0]: row for name, row in (await stored(scope)).items()}
    ids = {name: ContactId(row.id or 0) for name, row in people.items()}
    async with db.write(scope) as tx:
        await states.unsubscribe(tx, scope, contact_id=ids["p0"], now=NOW, reason="link")
        await states.mark_bounced(tx, scope, [ids["p1"]], NOW)
        await states.complain(tx, scope, contact_id=ids["p2"], now=NOW, reason="feedback loop")
        await suppression.suppress(tx, scope, parse_target("p3@example.org"), reason="manual", now=NOW)
        await tx.execute(
            sa.update(ListMember)
            .where(col(ListMember.tenant_id) == scope.tenant_id, col(ListMember.contact_id) == ids["p4"])
            .values(state="unsubscribed")
        )
    report = await importing(text.replace("Bonn", "Köln"), on_duplicate=rule)
    assert report.counts.kept_unsubscribed == 5
    now = {name.partition("@")[0]: row.state for name, row in (await stored(scope)).items()}
    assert now == {
        "p0": "unsubscribed",
        "p1": "bounced",
        "p2": "complained",
        "p3": "suppressed",
        "p4": "subscribed",
        "p5": "subscribed",
    }
    assert (await membership(scope))[ids["p4"]] == "unsubscribed"
    await importing(text, list_name="Second", on_duplicate=rule)
    async with db.read(scope) as tx:
        second = await lists.get_list(tx, scope, name="Second")
        joined = await tx.scalars(owned(ListMember, scope).where(col(ListMember.list_id) == second.id))
        by_state = {row.contact_id: row.state for row in joined}
    assert (by_state[ids["p0"]], by_state[ids["p5"]]) == ("unsubscribed", "subscribed")


async def test_a_deleted_contact_is_revived_as_it_was(
    importing: Importing, stored: Stored, scope: Scope, db: Database
) -> None:
    await importing("email\na@example.org\nb@example.org\n")
    async with db.write(scope) as tx:
        gone = await contacts.get_contact(tx, scope, address="a@example.org")
        await states.unsubscribe(tx, scope, contact_id=contacts.contact_id(gone), now=NOW, reason="link")
        await contacts.soft_delete(tx, scope, address="a@example.org", now=NOW)
    report = await importing("email\na@example.org\nb@example.org\n")
    assert (report.counts.restored, report.counts.unchanged, report.counts.kept_unsubscribed) == (1, 1, 1)
    found = (await stored(scope))["a@example.org"]
    assert (found.deleted_at, found.state) == (None, "unsubscribed")


async def test_suppressed_and_forgotten_people(
    importing: Importing, stored: Stored, scope: Scope, db: Database
) -> None:
    forgotten = Target(SuppressionKind.HASH, erased_hash(HASH_KEY, "gone@example.org"))
    async with db.write(scope) as tx:
        targets = [parse_target("@bad.example"), parse_target("x@example.org"), forgotten]
        assert await suppression.suppress_all(tx, scope, targets, reason="test", now=NOW) == 3
        assert not await suppression.suppress(tx, scope, targets[0], reason="test", now=NOW)
    report = await importing("email\nGone@example.org\nx@example.org\ny@bad.example\nz@example.org\n")
    assert (report.counts.created, report.counts.suppressed, report.counts.rejected) == (3, 2, 1)
    assert report.errors[0].reason == "this person asked to be forgotten"
    assert report.errors_file is not None
    assert "Gone" not in report.errors_file.read_text()
    assert {row.email: row.state for row in (await stored(scope)).values()} == {
        "x@example.org": "suppressed",
        "y@bad.example": "suppressed",
        "z@example.org": "subscribed",
    }


async def test_a_dry_run_stores_nothing(
    importing: Importing, around: Surroundings, scope: Scope, db: Database, tmp_path: Path
) -> None:
    await importing("email,city\na@example.org,Bonn\nb@example.org,Bonn\n")
    path = tmp_path / "dry.csv"
    path.write_text(
        "email,city\na@example.org,Bonn\nb@example.org,Köln\nc@example.org,\nC@example.org,\nx,\n"
    )
    rows: list[dict[str, Any]] = []
    report = await rehearse(around, scope, ImportRequest(path, "New"), each_row=rows.append)
    assert [(row["line"], row["outcome"]) for row in rows] == [
        (2, "unchanged"),
        (3, "updated"),
        (4, "created"),
        (5, "duplicate"),
        (6, "rejected"),
    ]
    assert rows[1]["attributes"] == {"city": "Köln"}
    assert (report.job, report.errors_file, report.counts.rows) == (None, None, 5)
    async with db.read(scope) as tx:
        assert len((await tx.scalars(owned(Contact, scope))).all()) == 2
        assert len((await tx.scalars(owned(ContactList, scope))).all()) == 1
        assert len((await tx.scalars(owned(Job, scope))).all()) == 1


async def test_two_imports_of_one_file_at_once(
    around: Surroundings, scope: Scope, stored: Stored, membership: Membership, tmp_path: Path
) -> None:
    path = tmp_path / "same.csv"
    path.write_text("email,n\n" + "".join(f"p{n * 7919 % 2500}@example.org,{n}\n" for n in range(2500)))
    first, second = await asyncio.gather(
        *(import_file(around, scope, ImportRequest(path, "Customers")) for _ in range(2))
    )
    assert first.counts.created + second.counts.created == 2500
    assert first.counts.unchanged + second.counts.unchanged == 2500
    assert len(await stored(scope)) == len(await membership(scope)) == 2500
    async with around.db.read(scope) as tx:
        agreed = (await tx.scalars(owned(Consent, scope))).all()
    assert len({act.contact_id for act in agreed}) == len(agreed) == 2500


async def test_a_consent_with_a_date_alone_comes_from_the_file(
    importing: Importing, stored: Stored, scope: Scope
) -> None:
    for _ in range(2):
        report = await importing(
            "email,consent date,consent source\na@example.org,2024-05-01,\nb@example.org,,fair\nc@example.org,,\n"
        )
    assert report.counts.unchanged == 3
    people = await stored(scope)
    a, b, c = (people[f"{name}@example.org"] for name in "abc")
    assert (a.consent_source, b.consent_source) == (c.consent_source, "fair")
    assert a.consent_at is not None
    assert a.consent_at.year == 2024


async def test_postgresql_plans_each_look_up_for_the_table_as_it_is(
    importing: Importing, db: Database
) -> None:
    """A plan that was kept from when the table was empty reads all of it for each address."""
    if not db.postgres:
        pytest.skip("SQLite keeps no plan from a table that was empty")
    for number in range(7):  # after five PostgreSQL thinks of keeping one
        await importing(f"email\np{number}@example.org\n")
    async with db.read(INSTANCE) as tx:
        plans = await tx.execute(
            sa.text(
                "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements "
                "WHERE statement LIKE '%FOR UPDATE OF c%' AND statement NOT LIKE '%pg_prepared%'"
            )
        )
        assert plans.one() == (7, 0)


async def test_postgresql_looks_agreements_up_by_id_when_it_knew_the_table_empty(
    db: Database, scope: Scope
) -> None:
    """Each batch of an import had read all of the tenant; rows read, not seconds."""
    if not db.postgres:
        pytest.skip("SQLite keeps no plan from a table that was empty")
    async with db.write(scope) as tx:
        for _ in range(7):
            await consents.keep_standing(tx, scope, [1], new=True)
        people = [
            {"tenant_id": scope.tenant_id, "email": f"p{n}@example.org", "email_key": f"p{n}@example.org"}
            | {"consent_source": "form", "created_at": NOW, "updated_at": NOW}
            for n in range(2000)
        ]
        await tx.execute(sa.insert(Contact), people)
        some = (await tx.scalars(owned(Contact, scope).limit(5))).all()
        before = (await tx.scalars(_READ)).one()
        await consents.keep_standing(tx, scope, [person.id or 0 for person in some], new=True)
        assert 5 <= (await tx.scalars(_READ)).one() - before < 100


async def test_a_cancelled_import_goes_on_where_it_stopped(
    around: Surroundings, scope: Scope, stored: Stored, tmp_path: Path, db: Database
) -> None:
    path = tmp_path / "long.csv"
    path.write_text("email\n" + "".join(f"p{n // 2}@example.org\n{n} bad\n" for n in range(9600)))
    seen: list[int] = []
    stopping = replace(
        around, progress=lambda made: seen.append(made.counts.rows), cancelled=lambda: bool(seen)
    )
    report = await import_file(stopping, scope, ImportRequest(path, "Customers"))
    assert report.state == "cancelled"
    stored_then = len(await stored(scope))
    assert 0 < stored_then == report.counts.created < 4800
    assert report.errors_file is not None
    with report.errors_file.open("a") as file:  # what a crash leaves behind the last commit
        file.write("torn")
    done = await resume(around, scope, job_id=JobId(report.job or 0))
    counts = done.counts
    assert (counts.created, counts.duplicates, counts.rejected) == (4800, 4800, 9600)
    people = await stored(scope)
    async with db.read(scope) as tx:
        agreed = (await tx.scalars(owned(Consent, scope))).all()
    assert sorted(act.contact_id for act in agreed) == sorted(row.id or 0 for row in people.values())
    assert len(agreed) == 4800
    assert done.errors_file is not None
    with done.errors_file.open(newline="") as file:
        assert len(list(csv.reader(file))) == 9601
    with pytest.raises(Conflict, match="is done"):
        await resume(around, scope, job_id=JobId(report.job or 0))


async def test_a_file_that_changed_is_not_resumed(around: Surroundings, scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("email\na@example.org\n")
    stopping = replace(around, cancelled=lambda: True)
    report = await import_file(stopping, scope, ImportRequest(path, "Customers"))
    path.write_text("email\na@example.org\nb@example.org\n")
    with pytest.raises(Conflict, match="not the file"):
        await resume(around, scope, job_id=JobId(report.job or 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n \n", "no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "not a text file"),
        (b"PK\x03\x04rest", "damaged archive"),
        (b"name,city\nAnn,Bonn\n", "the columns are 'name', 'city'"),
        (b"email\n" + b"x" * 3_000_000, "line 2 is longer than 1 MiB"),
        (("email," + ",".join(f"c{n}" for n in range(101)) + "\n").encode(), "100 is the most"),
        ((",".join(f"c{n}" for n in range(600)) + "\n").encode(), "600 columns"),
    ],
)
async def test_a_file_that_cannot_be_imported_leaves_nothing(
    importing: Importing, scope: Scope, db: Database, content: bytes, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        await importing(content)
    async with db.read(scope) as tx:
        for model in (Contact, ContactList, Job, Attribute):
            assert (await tx.scalars(owned(model, scope))).all() == []


async def test_a_late_bad_byte_costs_its_row_only(importing: Importing, stored: Stored, scope: Scope) -> None:
    good = "".join(f"p{n}@example.org,Jürgen\n" for n in range(3000)).encode()
    report = await importing(
        b"email,name\n"
        + good
        + b"bad@example.org,J\xfcrgen\nnul@example.org,Z\x00\nlast@example.org,Zo\xc3\xab\n"
    )
    assert (report.encoding, report.counts.created, report.counts.rejected) == ("UTF-8", 3001, 2)
    assert [error.line for error in report.errors] == [3002, 3003]
    assert (await stored(scope))["last@example.org"].first_name == "Zoë"


async def test_tenants_do_not_see_each_other(
    importing: Importing, stored: Stored, scope: Scope, other: Scope, db: Database, around: Surroundings
) -> None:
    report = await importing("email,city\na@example.org,Bonn\n")
    assert await stored(other) == {}
    async with db.read(other) as tx:
        with pytest.raises(NotFound):
            await contacts.get_contact(tx, other, address="a@example.org")
        with pytest.raises(NotFound):
            await lists.get_list(tx, other, name="Customers")
        with pytest.raises(NotFound):
            await jobs.get(tx, other, job_id=JobId(report.job or 0))
        assert (await jobs.list_(tx, other, page=PageRequest())).total == 0
        assert (await contacts.list_contacts(tx, other, page=PageRequest())).total == 0
    with pytest.raises(NotFound):
        await resume(around, other, job_id=JobId(report.job or 0))
    theirs = await importing("email,city\na@example.org,Wien\n", scope=other)
    assert theirs.counts.created == 1
    assert (await stored(scope))["a@example.org"].attributes == {"city": "Bonn"}
