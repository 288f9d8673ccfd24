"""Suppression lists come in from files, go out again, and hold at every door."""

import io
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput, NotFound, Refused
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts, suppression
from mailengine.domain.contacts.suppression import HASH_PURPOSE, Target, erased_hash, parse_target
from mailengine.domain.contacts.suppression_files import Taken, read, take_over, write_out
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
