"""`kill -9` in the middle of a campaign, again and again: nobody gets two, nobody none but those in doubt.

The daemon, its workers and the server are processes of their own. The server writes down who it accepted before
it says so: that ledger is held against ours.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.sink import CountingSink
from support.daemon import Daemon, House, compare

RECIPIENTS, KILLS = 5000, 10
CONNECTIONS, PROCESSES = 5, 2
ROLES = ("--role", "worker,scheduler")
Sinks = Callable[..., CountingSink]

pytestmark = pytest.mark.timeout(300)


def kill_group(daemon: Daemon) -> None:
    daemon.kill()


def kill_supervisor(daemon: Daemon) -> None:
    daemon.kill_supervisor()


def kill_worker(daemon: Daemon) -> None:
    daemon.kill_worker()


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> House:
    return House(
        database_url,
        tmp_path,
        MAILENGINE_WORKER_CONNECTIONS=str(CONNECTIONS),
        MAILENGINE_WORKER_PROCESSES=str(PROCESSES),
    )


def test_ten_kills_at_random_moments(house: House, counting_sink: Sinks) -> None:
    chance = random.Random(20261122)
    sink = counting_sink(delay_ms=1)
    house.campaign(RECIPIENTS, sink.port)
    moments = sorted(chance.sample(range(100, RECIPIENTS - 400), KILLS))
    kills = [kill_group] * 4 + [kill_supervisor] * 3 + [kill_worker] * 3
    chance.shuffle(kills)
    pending = list(zip(moments, kills, strict=True))
    while house.state() != "sent":
        with house.daemon(*ROLES) as daemon:
            while pending:
                moment, kill = pending.pop(0)
                sink.wait_for(moment)
                time.sleep(chance.random() * 0.02)  # not always when a reply was just written
                kill(daemon)
                if kill is not kill_worker:
                    break
            else:
                house.wait_for_state("sent")
                assert daemon.end() == 0
    doubtful = compare(house, sink)
    assert set(house.statuses().values()) <= {"sent", "doubt"}
    assert len(house.statuses()) == RECIPIENTS
    # Leaving the block ends the workers of a killed supervisor, too, before they are done with their drain.
    all_workers = kills.count(kill_group) + kills.count(kill_supervisor)
    assert len(doubtful) <= CONNECTIONS * (PROCESSES * all_workers + kills.count(kill_worker))
    print(f"{KILLS} kills, {len(doubtful)} in doubt of {RECIPIENTS}")


def test_a_drained_daemon_leaves_no_doubt(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=1)
    house.campaign(3000, sink.port)
    with house.daemon(*ROLES) as daemon:
        sink.wait_for(700)
        assert daemon.end() == 0
    reached = sink.accepted()
    assert reached < 3000, "it ended before it was asked to"
    assert compare(house, sink) == set()
    assert set(house.statuses().values()) == {"sent", "queued"}
    with house.daemon(*ROLES) as daemon:
        house.wait_for_state("sent")
        assert daemon.end() == 0
    assert compare(house, sink) == set()
    assert sink.accepted() == 3000
