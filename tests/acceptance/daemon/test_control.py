"""What an operator does to a campaign that is being sent, and what the world does to it."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from peers.ports import free_port, wait_until
from peers.sink import CountingSink
from support.daemon import House, compare

RECIPIENTS = 15_000
WITHIN_SECONDS = 1.0
QUIET_SECONDS = 1.5
ROLES = ("--role", "worker,scheduler")
Sinks = Callable[..., CountingSink]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> House:
    return House(database_url, tmp_path, MAILENGINE_WORKER_PROCESSES="2")


def seconds_until_silence(sink: CountingSink) -> tuple[float, int]:
    """After a command returned: when the last message came, and how many came until then."""
    began = last = monotonic()
    first = count = sink.accepted()
    while monotonic() - last < QUIET_SECONDS:
        sleep(0.01)  # a sample, no wait for a condition: silence is the condition
        if (now := sink.accepted()) != count:
            count, last = now, monotonic()
    return last - began, count - first


def test_it_is_quiet_within_a_second(house: House, counting_sink: Sinks) -> None:
    """After a pause, the kill switch and a cancel, each at full speed; nobody gets two, and who got none is known."""
    sink = counting_sink()
    house.campaign(RECIPIENTS, sink.port)

    def stop(*command: str) -> None:
        house.program.ok(*command)
        seconds, late = seconds_until_silence(sink)
        print(f"{' '.join(command)}: {late} messages in {seconds:.2f} s after it returned")
        assert seconds < WITHIN_SECONDS
        assert sink.accepted() < RECIPIENTS, "it was over before"

    with house.daemon(*ROLES) as daemon:
        sink.wait_for(500)
        stop("campaign", "pause", "Spring")
        assert house.state() == "paused"
        house.wait_for_tally(lambda tally: "claimed" not in tally, "what was held is given back")
        house.program.ok("campaign", "resume", "Spring")
        sink.wait_for(sink.accepted() + 200)
        stop("kill-switch", "on", "--reason", "a test")
        house.program.ok("kill-switch", "off")
        sink.wait_for(sink.accepted() + 200)
        stop("campaign", "cancel", "Spring", "--yes")
        house.wait_for_tally(lambda tally: tally.keys() == {"sent", "skipped"}, "the rest is skipped")
        assert daemon.end() == 0
    assert compare(house, sink) == set()


def test_a_campaign_waits_for_the_daemon(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink()
    house.campaign(200, sink.port, launched=False)
    sent = house.program.ok("campaign", "send", "Spring", "--yes", "--json")
    assert sent.json["recipients"] == 200
    assert sent.json["daemon"] is False
    with house.daemon(*ROLES) as daemon:
        house.wait_for_state("sent")
        assert daemon.end() == 0
    assert compare(house, sink) == set()
    assert sink.accepted() == 200


def test_a_relay_that_is_down_at_first(house: House, counting_sink: Sinks) -> None:
    port = free_port()
    house.campaign(300, port)
    with house.daemon(*ROLES) as daemon:
        wait_until(lambda: house.events("server in trouble"), "the relay is missed", 60)
        assert set(house.statuses().values()) <= {"queued", "claimed"}
        sink = counting_sink(port=port)
        house.wait_for_state("sent")
        assert daemon.end() == 0
    assert compare(house, sink) == set()
    assert sink.accepted() == 300
