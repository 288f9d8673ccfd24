"""A short run of `make chaos`: one round of kills on each database, and a machine that does not come back."""

from collections.abc import Iterator

import pytest
from benchmarks.chaos_node import lose_node
from benchmarks.chaos_peers import ThrowAwayPostgres
from benchmarks.chaos_round import play
from benchmarks.chaos_stage import Plan

from peers import availability

pytestmark = pytest.mark.timeout(300)


def plan(database: str) -> Plan:
    return Plan(database, workers=2, recipients=1000, kills=3, seed="short", deadly=0.9, per_second=200)


@pytest.fixture(scope="module")
def throw_away_postgres() -> Iterator[ThrowAwayPostgres]:
    availability.require("postgres")
    server = ThrowAwayPostgres()
    yield server
    server.close()


def test_nobody_gets_two_or_none_on_sqlite() -> None:
    played = play(plan("sqlite"), None)
    assert played.verdict.faults == []
    assert played.kills > 0
    assert played.messages.sent > 0


def test_nobody_gets_two_or_none_on_postgresql(throw_away_postgres: ThrowAwayPostgres) -> None:
    played = play(plan("postgresql"), throw_away_postgres)
    assert played.verdict.faults == []
    assert played.kills > 0


@pytest.mark.parametrize("suspended", [False, True], ids=["for good", "until its claims were given up"])
def test_a_machine_that_is_lost(throw_away_postgres: ThrowAwayPostgres, suspended: bool) -> None:
    lost = lose_node(throw_away_postgres, workers=1, suspended=suspended, recipients=1500)
    assert lost.verdict.faults == []
    assert lost.claims > 0
