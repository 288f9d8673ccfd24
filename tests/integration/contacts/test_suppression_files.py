"""Suppression lists come in from files, go out again, and hold at every door."""

import io
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
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
from mailengine.domain.contacts.suppression_files import Taken, read, take_over, write_out
from mailengine.domain.jobs import jobs
from mailengine.models import Contact, Suppression, SuppressionKind
from support.house import KEYRING, NOW

pytestmark = pytest.mark.anyio
HASH_KEY = KEYRING.derive(HASH_PURPOSE)


async def take(db: Database, scope: Scope, text: str, reason: str = "imported") -> Taken:
    lines = read(io.StringIO(text, newline=""))
    return await take_over(db, scope, lines, reason=reason, source="test", hash_key=HASH_KEY, now=lambda: NOW)


async def listed(db: Database, scope: Scope) -> dict[tuple[str, str], str]:
    async with db.read(scope) as tx:
        return {(row.kind, row.value): row.reason for row in await tx.scalars(owned(Suppression, scope))}


async def add(db: Database, scope: Scope, address: str) -> Contact:
    async with db.write(scope) as tx:
        new = contacts.check_contact(address)
        return await contacts.add(tx, scope, new, now=NOW, hash_key=HASH_KEY)


async def test_each_usual_form_is_read(db: Database, scope: Scope) -> None:
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


async def test_what_cannot_be_read_is_told_and_stops_nothing(db: Database, scope: Scope) -> None:
    taken = await take(db, scope, "value,kind\nann@example.org,\nno address,\nx,hash\n@example.net,address\n")
    assert (taken.lines, taken.added, taken.rejected) == (4, 1, 3)
    assert [line.number for line in taken.problems] == [3, 4, 5]
    assert (await take(db, scope, "ann@example.org\n")).known == 1
    assert (await take(db, scope, "")).lines == 0
    with pytest.raises(InvalidInput, match="UTF-8"):
        list(read(io.TextIOWrapper(io.BytesIO(b"\xff\xfea\x00"), encoding="utf-8")))


async def test_a_hash_holds_for_whoever_is_there_and_whoever_comes(db: Database, scope: Scope) -> None:
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


async def test_a_list_comes_back_as_it_went_out(db: Database, scope: Scope, other: Scope) -> None:
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


async def test_another_tenants_list_is_not_there(db: Database, scope: Scope, other: Scope) -> None:
    await take(db, scope, "ann@example.org\n")
    assert await listed(db, other) == {}
    with pytest.raises(NotFound):
        async with db.write(other) as tx:
            await suppression.unsuppress(tx, other, parse_target("ann@example.org"), now=NOW)
    assert (await add(db, other, "ann@example.org")).state == "subscribed"


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_any_text_is_read_line_by_line(text: str) -> None:
    try:
        lines = list(read(io.StringIO(text, newline="")))
    except InvalidInput:
        return
    assert all((line.target is None) == bool(line.problem) for line in lines)
