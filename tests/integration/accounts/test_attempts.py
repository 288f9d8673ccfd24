"""Guesses are counted in the database: by pair, by account, by client, and by several processes together."""

import asyncio
from datetime import timedelta

import pytest

from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.accounts import attempts
from mailengine.domain.accounts.attempts import Rule
from support.house import NOW

pytestmark = pytest.mark.anyio

PAIR = Rule("pair", 2, 60)
ACCOUNT = Rule("account", 3, 60, by_client=False)
CLIENT = Rule("client", 3, 60, by_account=False)


def client(address: str) -> InstanceScope:
    return InstanceScope("test", address=address)


async def take(
    db: Database, rules: tuple[Rule, ...], account: str, address: str = "192.0.2.1", seconds: float = 0
) -> float:
    async with db.write(client(address)) as tx:
        now = NOW + timedelta(seconds=seconds)
        return await attempts.take(tx, client(address), rules, account=account, now=now)


async def test_a_bucket_empties_and_fills_again(db: Database) -> None:
    assert [await take(db, (PAIR,), "a@x.test") for _ in range(3)] == [0, 0, 60]
    assert await take(db, (PAIR,), "a@x.test", seconds=30) == pytest.approx(30)
    assert await take(db, (PAIR,), "a@x.test", seconds=61) == 0
    assert await take(db, (PAIR,), " A@X.test", seconds=61) > 0, "the same account in another spelling"
    assert await take(db, (PAIR,), "b@x.test") == 0
    assert await take(db, (PAIR,), "a@x.test", address="192.0.2.2") == 0


async def test_a_thousand_clients_are_one_account_s_guessers(db: Database) -> None:
    waits = [await take(db, (PAIR, ACCOUNT), "a@x.test", address=f"192.0.2.{n}") for n in range(4)]
    assert [wait > 0 for wait in waits] == [False, False, False, True]


async def test_a_client_that_is_out_of_guesses_takes_none_from_the_account(db: Database) -> None:
    for _ in range(10):
        await take(db, (PAIR, ACCOUNT), "a@x.test")
    assert await take(db, (PAIR, ACCOUNT), "a@x.test", address="192.0.2.2") == 0


async def test_one_client_tries_many_accounts(db: Database) -> None:
    waits = [await take(db, (CLIENT,), f"{n}@x.test", address="2001:db8::1") for n in range(3)]
    assert waits == [0, 0, 0]
    assert await take(db, (CLIENT,), "x@x.test", address="2001:db8::ffff") > 0, "a /64 is one customer"
    assert await take(db, (CLIENT,), "x@x.test", address="2001:db8:0:1::1") == 0


async def test_unlocking_forgets_all_that_concerns_the_account(db: Database) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(3):
            await take(db, (PAIR, ACCOUNT), "a@x.test", address=address)
    async with db.write(client("")) as tx:
        assert await attempts.unlock(tx, client(""), account="A@x.test")
        assert not await attempts.unlock(tx, client(""), account="a@x.test")
    assert await take(db, (PAIR, ACCOUNT), "a@x.test") == 0


async def test_guesses_at_the_same_moment_are_all_counted(db: Database) -> None:
    many = [take(db, (Rule("many", 5, 60),), "a@x.test") for _ in range(12)]
    waits = await asyncio.gather(*many)
    assert sum(wait == 0 for wait in waits) == 5


async def test_hostile_names_are_names(db: Database) -> None:
    for name in ("", "%", "\ud800", "x" * 100_000, "a@b@c"):
        assert await take(db, (PAIR,), name, address="not an address") == 0
