"""Suppression lists come in from files, go out again, and hold at every door."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailengine.core.clock import ManualClock
from mailengine.core.errors import InvalidInput, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts, suppression, suppression_uploads
from mailengine.domain.contacts.imports import uploads
from mailengine.domain.contacts.suppression import HASH_PURPOSE, Target, erased_hash, parse_target
from mailengine.domain.contacts.suppression_files import Taken, take_over, write_out
from mailengine.domain.contacts.suppression_lines import understand
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, Suppression, SuppressionKind
from support.house import KEYRING, NOW

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)


Take = Callable[..., Awaitable[Taken]]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """`await take(db, scope, "ann@example.org\\n")`; text is written as UTF-8."""

    async def run(db: Database, scope: Scope, content: str | bytes) -> Taken:
        path = tmp_path / "list.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return await take_over(
            db, scope, path, name="list.csv", reason="imported", hash_key=HASH_KEY, now=lambda: NOW
        )

    return run


async def listed(db: Database, scope: Scope) -> dict[tuple[str, str], str]:
    async with db.read(scope) as tx:
        return {(row.kind, row.value): row.reason for row in await tx.scalars(owned(Suppression, scope))}


async def add(db: Database, scope: Scope, address: str) -> Contact:
    async with db.write(scope) as tx:
        new = contacts.check_contact(address)
        return await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)


async def test_each_usual_form_is_read(take: Take, db: Database, scope: Scope) -> None:
    await take(db, scope, "ann@example.org\n@spam.example\n\nBOB@EXAMPLE.COM\n")
    await take(db, scope, "Email Address;Reason\ncem@example.org;hard bounce\n")
    hashed = erased_hash(HASH_KEY, "eve@example.org")
    await take(db, scope, f"kind,value,reason\nhash,{hashed},erased\n")
    assert await listed(db, scope) == {
        ("address", "ann@example.org"): "imported",
        ("domain", "spam.example"): "imported",
        ("address", parse_target("BOB@EXAMPLE.COM").value): "imported",
        ("address", "cem@example.org"): "hard bounce",
        ("hash", hashed): "erased",
    }


async def test_what_cannot_be_read_is_told_and_stops_nothing(take: Take, db: Database, scope: Scope) -> None:
    taken = await take(db, scope, "value,kind\nann@example.org,\nno address,\nx,hash\n@example.net,address\n")
    assert (taken.lines, taken.added, taken.rejected) == (4, 1, 3)
    assert [line.number for line in taken.problems] == [3, 4, 5]
    assert (await take(db, scope, "ann@example.org\n")).known == 1
    for no_list, problem in (
        ("", "list.csv: the file is empty"),
        (b"value\n" + bytes(range(256)), "zero bytes"),
        ("Firma;Ort\nAcme;Bonn\n", "no column holds addresses or domains; the columns are 'Firma', 'Ort'"),
    ):
        with pytest.raises(InvalidInput, match=problem):
            await take(db, scope, no_list)


MANY = "".join(f"many{number}@x.test,\n" for number in range(12_000))


@pytest.mark.parametrize(
    ("content", "added", "rejected"),
    [
        (f"email,note\n{MANY}last@x.test,caf\xe9\njos\xe9@x.test,\n".encode("latin-1"), 12_002, []),
        (
            f"email,note\n{MANY}".encode()
            + "ü@x.test,é\n".encode() * 40
            + b"jos\xe9@x.test,\nlast@x.test,\xe9\n",
            12_002,
            [12_042],
        ),
        (f"email,note\n{MANY}long@x.test,{'x' * 200_000}\nlast@x.test,\n".encode(), 12_001, [12_002]),
        ("email\nann@x.test\nlast@x.test\n".encode("utf-16"), 2, []),
        ("E-Mail\tOrt\nann@x.test\tKöln\nlast@x.test\t\n".encode("utf-16-le"), 2, []),
        (b'email,note\nann@x.test,"open\nlast@x.test,\n', 1, [2]),
    ],
)
async def test_no_byte_stops_a_list(
    take: Take, db: Database, scope: Scope, content: bytes, added: int, rejected: list[int]
) -> None:
    taken = await take(db, scope, content)
    assert (taken.added, taken.rejected) == (added, len(rejected))
    assert [line.number for line in taken.problems] == rejected
    assert ("address", "last@x.test") in await listed(db, scope)


@pytest.mark.parametrize(
    ("content", "added"),
    [
        ("Firma;E-Mail-Adresse\nexample.com;a@x.test\nAcme;b@x.test\n", {"a@x.test", "b@x.test"}),
        ("Name,EmailAddress\nAnn,a@x.test\n", {"a@x.test"}),
        ("Domain,Email\nx.test,a@x.test\n", {"a@x.test"}),
        ("Wer,Wohin\nexample.com,a@x.test\nexample.org,b@x.test\n", {"a@x.test", "b@x.test"}),
        ("Email\ngmail.com\n@spam.test\na@x.test\n", {"spam.test", "a@x.test"}),
        ("Domain;Note\nspam.test;x\n", {"spam.test"}),
        ("spam.test,x\na@x.test,\n@ham.test,\n", {"spam.test", "a@x.test", "ham.test"}),
    ],
)
async def test_the_column_is_found(
    take: Take, db: Database, scope: Scope, content: str, added: set[str]
) -> None:
    await take(db, scope, content)
    assert {value for _kind, value in await listed(db, scope)} == added


async def test_a_hash_holds_for_whoever_is_there_and_whoever_comes(
    take: Take, db: Database, scope: Scope
) -> None:
    ann = await add(db, scope, "ann@example.org")
    await add(db, scope, "bob@example.org")
    both = [erased_hash(HASH_KEY, key) for key in ("ann@example.org", "eve@example.org")]
    await take(db, scope, "kind,value\n" + "".join(f"hash,{value}\n" for value in both))
    async with db.read(scope) as tx:
        states = {row.id: row.state for row in await tx.scalars(owned(Contact, scope))}
    assert states.pop(ann.id) == "suppressed"
    assert list(states.values()) == ["subscribed"]
    with pytest.raises(Refused, match="forgotten"):
        await add(db, scope, "eve@example.org")
    async with db.write(scope) as tx:
        target = parse_target("eve@example.org")
        await suppression.unsuppress(tx, scope, target, now=NOW, hash_key=HASH_KEY)
    assert (await add(db, scope, "eve@example.org")).state == "subscribed"


async def test_a_list_comes_back_as_it_went_out(take: Take, db: Database, scope: Scope, other: Scope) -> None:
    strange = Target(SuppressionKind.ADDRESS, parse_target("=cmd+1@example.org").value)
    async with db.write(scope) as tx:
        await suppression.suppress_all(
            tx, scope, [strange, parse_target("@example.net")], reason='said "no", twice', now=NOW
        )
        hashed = Target(SuppressionKind.HASH, erased_hash(HASH_KEY, "x@example.org"))
        await suppression.suppress(tx, scope, hashed, reason="erased", now=NOW + timedelta(days=1))
    out = io.StringIO(newline="")
    assert await write_out(db, scope, out, now=NOW) == 3
    assert "\n=cmd" not in out.getvalue()
    assert ",=cmd" not in out.getvalue()
    await take(db, other, out.getvalue())
    assert await listed(db, other) == await listed(db, scope)


async def test_an_upload_is_gone_on_with_where_it_was_killed(
    db: Database, scope: Scope, other: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression_uploads, "PAGE", 2)
    ann = await add(db, scope, "ann@example.org")
    hashed = erased_hash(HASH_KEY, "ann@example.org")
    rows = [
        "a@x.test,",
        "b@x.test,",
        "secret@no@where,",
        "c@x.test,",
        f"{hashed},hash",
        "a@x.test,",
        "d@x.test,",
    ]

    async def content() -> AsyncIterator[bytes]:
        yield "\n".join(["value,kind", *rows]).encode()

    token, _size = await uploads.receive(tmp_path, scope, content(), now=NOW)
    async with db.write(scope) as tx:
        job = await suppression_uploads.queue(tx, scope, token=token, name="list.csv", lines=8, now=NOW)
        job_id = JobId(job.id or 0)
        await jobs.start(tx, scope, job_id=job_id, now=NOW)
    for tenant, problem in ((other, "no job"), (scope, "no such uploaded file")):
        with pytest.raises(NotFound, match=problem):
            await anext(pieces(db, tenant, job_id, tmp_path / "elsewhere"))
    begun = pieces(db, scope, job_id, tmp_path)
    for _ in range(2):
        await anext(begun)
    await begun.aclose()
    assert sorted(value for _kind, value in await listed(db, scope)) == ["a@x.test", "b@x.test", "c@x.test"]
    assert len([None async for _ in pieces(db, scope, job_id, tmp_path)]) == 2
    async with db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
        ann = await contacts.get_contact(tx, scope, address="ann@example.org")
    assert (job.state, job.done, job.total, ann.state) == ("done", 7, 7, "suppressed")
    figures = {"added": 5, "known": 1, "rejected": 1, "unread": [4]}
    assert job.result == {"file": token, **figures}, "what the job holds is of nobody"
    assert len(await listed(db, scope)) == 5
    with pytest.raises(NotFound):
        uploads.find(tmp_path, scope, token)


def pieces(db: Database, scope: Scope, job_id: JobId, data_dir: Path) -> AsyncGenerator[None]:
    clock = ManualClock(NOW)
    return suppression_uploads.pieces(db, clock, scope, job_id, data_dir=data_dir, hash_key=HASH_KEY)


async def test_another_tenants_list_is_not_there(
    take: Take, db: Database, scope: Scope, other: Scope
) -> None:
    await take(db, scope, "ann@example.org\n")
    assert await listed(db, other) == {}
    with pytest.raises(NotFound):
        async with db.write(other) as tx:
            await suppression.unsuppress(tx, other, parse_target("ann@example.org"), now=NOW)
    assert (await add(db, other, "ann@example.org")).state == "subscribed"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_read_line_by_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.csv"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        lines = list(understand(path).lines())
    except InvalidInput:
        return
    assert all((line.target is None) == bool(line.problem) for line in lines)
