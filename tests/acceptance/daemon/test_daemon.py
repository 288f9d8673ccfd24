"""The daemon as an operator meets it: started, stopped, started twice, and holding its memory."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from peers.ports import free_port, wait_until
from peers.sink import CountingSink
from support.daemon import House, compare

IDLE_MEGABYTES = 200
Sinks = Callable[..., CountingSink]


@pytest.fixture
def house(sqlite_dsn: str, tmp_path: Path) -> House:
    return House(sqlite_dsn, tmp_path, MAILENGINE_WORKER_PROCESSES="2")


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:
        return str(response.read().decode())


def test_it_says_where_it_serves_and_ends_in_order(house: House) -> None:
    house.campaign(1, free_port(), launched=False)
    with house.daemon() as daemon:
        url = daemon.url()
        assert answer(f"{url}/livez") == "ok"
        assert answer(f"{url}/readyz") == "ok"
        assert house.events("started")[0]["listening"] == url
        assert daemon.end() == 0
    assert not (house.folder / "daemon.json").exists()
    assert [line["event"] for line in house.said()][-1] == "stopped"


def test_an_idle_daemon_is_small(house: House) -> None:
    """Of an interpreter of its own, as a service manager starts it; pages that processes share count once."""
    house.campaign(1, free_port(), launched=False)
    announced = house.folder / "daemon.json"
    command = [sys.executable, "-m", "mailengine", "daemon", "--with-stdin"]
    environment = {**os.environ, "MAILENGINE_DATA_DIR": str(house.folder), **house.environment}
    with (
        house.log.open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, env=environment) as process,
    ):
        try:
            wait_until(announced.exists, "the daemon serves", 60)
            answer(f"{json.loads(announced.read_text())['url']}/readyz")
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            megabytes = sum(each.memory_full_info().pss for each in tree) / 1e6
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert megabytes < IDLE_MEGABYTES


def test_links_name_the_port_that_was_picked(house: House, counting_sink: Sinks) -> None:
    """A browser finds the unsubscribe page at the address that stands in the mail."""
    sink = counting_sink()
    house.campaign(1, sink.port)
    with house.daemon() as daemon:
        url = daemon.url()
        sink.wait_for(1)
        message = house.program.ok("debug", "compose", "--campaign", "Spring", "--contact", "u0@example.org")
        assert "/u/" in message.out
        assert url.startswith("http://127.0.0.1:")
        assert daemon.end() == 0


def test_a_taken_port_is_one_clear_line(house: House) -> None:
    house.campaign(1, free_port(), launched=False)
    with house.daemon() as daemon:
        port = daemon.url().rsplit(":", 1)[1]
        ran = house.program.run("daemon", "--port", port)
        assert ran.code == 1
        assert f"127.0.0.1:{port} is in use" in ran.complaint
        assert answer(f"{daemon.url()}/livez") == "ok"


def test_a_daemon_that_only_sends_needs_an_installation(tmp_path: Path) -> None:
    house = House(f"sqlite+aiosqlite:///{tmp_path}/none.sqlite3", tmp_path)
    ran = house.program.run("daemon", "--role", "worker,scheduler")
    assert ran.code == 1
    assert "mailengine init" in ran.complaint
    assert not (tmp_path / "none.sqlite3").exists()


def test_an_unknown_role_is_wrong_usage(house: House) -> None:
    ran = house.program.run("daemon", "--role", "web,postman")
    assert ran.code == 2
    assert "web, tracker, worker, scheduler" in ran.complaint


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(house: House, counting_sink: Sinks, signum: int) -> None:
    sink = counting_sink(delay_ms=30_000)  # replies that never come in time
    house.campaign(50, sink.port)
    with house.daemon() as daemon:
        house.wait_for_tally(lambda tally: "claimed" in tally, "something is in hand")
        daemon.process.send_signal(signum)
        wait_until(lambda: house.events("stopping"), "it heard the signal")
        assert daemon.end(signum, seconds=5) == 128 + signum
        daemon.wait_for_end_of_workers(seconds=5)


def test_without_its_nursery_it_ends_for_the_service_manager(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=1)
    house.campaign(3000, sink.port)
    with house.daemon() as daemon:
        sink.wait_for(300)
        daemon.workers()
        (nursery,) = psutil.Process(daemon.process.pid).children()
        nursery.kill()
        assert daemon.process.wait(60) == 1
        daemon.wait_for_end_of_workers()
    assert "the process that forks the workers was killed" in house.log.read_text().splitlines()[-1]
    assert compare(house, sink) == set()


def test_workers_end_with_their_supervisor(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=1)
    house.campaign(3000, sink.port)
    with house.daemon() as daemon:
        sink.wait_for(300)
        daemon.kill_supervisor()
        daemon.wait_for_end_of_workers()
    # They had time to finish what was on the wire.
    assert compare(house, sink) == set()


def test_a_second_daemon_on_the_same_directory_helps(house: House, counting_sink: Sinks) -> None:
    """Two schedulers do not make anyone get two; when the first goes, the second takes over."""
    sink = counting_sink(delay_ms=1)
    house.campaign(3000, sink.port)
    with house.daemon() as first, house.daemon() as second:
        sink.wait_for(500)
        assert first.end() == 0
        house.wait_for_state("sent")
        assert second.end() == 0
    assert compare(house, sink) == set()
    assert sink.accepted() == 3000


def test_it_grows_with_the_queue_and_not_without(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=2)
    house.campaign(4000, sink.port)
    with house.daemon() as daemon:
        wait_until(lambda: len(daemon.workers()) == 2, "a second worker joins", 60)
        house.wait_for_state("sent")
        assert daemon.end() == 0
    assert compare(house, sink) == set()


def test_a_worker_that_dies_is_replaced(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=1)
    house.campaign(3000, sink.port)
    with house.daemon() as daemon:
        sink.wait_for(300)
        assert daemon.kill_worker()
        wait_until(lambda: house.events("worker died"), "the death is noticed")
        assert house.events("worker died")[0]["how"] == "SIGKILL"
        house.wait_for_state("sent")
        assert daemon.end() == 0
    compare(house, sink)


def test_a_daemon_file_of_another_process_is_left_alone(house: House) -> None:
    house.campaign(1, free_port(), launched=False)
    with house.daemon() as daemon:
        daemon.url()
        other = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "started": ""}
        (house.folder / "daemon.json").write_text(json.dumps(other))
        assert daemon.end() == 0
    assert json.loads((house.folder / "daemon.json").read_text()) == other
