"""Health, metrics and systemd's protocol, from outside, while a campaign goes through the daemon."""

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from peers.catcher import Catcher
from peers.ports import wait_until
from support.daemon import House

TOKEN = "a token that is long enough"


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_numbers_of_all_processes_and_their_guard(
    database_url: str, tmp_path: Path, catcher: Catcher
) -> None:
    house = House(
        database_url,
        tmp_path,
        MAILENGINE_HEALTH_PORT="0",
        MAILENGINE_HEALTH_TOKEN=TOKEN,
        MAILENGINE_WORKER_PROCESSES="2",
    )
    catcher.replies["u3@example.org"] = "550 5.1.1 no such user"
    house.campaign(40, catcher.port)
    with house.daemon() as daemon:
        web = daemon.url()
        port = json.loads((tmp_path / "health.json").read_text())["url"]
        house.wait_for_state("sent")
        wait_until(
            lambda: sum_of(port, "mailengine_messages_total") == 40, "the workers told their numbers", 30
        )
        found = samples(get(f"{port}/metrics")[1])
        assert found['mailengine_messages_total{code="550",provider="other",result="failed"}'] == 1
        assert found["mailengine_reply_seconds_count"] == 39
        assert found["mailengine_claimed_total"] >= 40
        assert found['mailengine_queue_messages{lane="campaign"}'] == 0
        assert found["mailengine_up"] == 1
        assert get(f"{web}/metrics")[0] == 401
        assert get(f"{web}/metrics", Authorization="Bearer " + TOKEN[:-1])[0] == 401
        status, text = get(f"{web}/metrics", Authorization="Bearer " + TOKEN)
        assert (status, samples(text)["mailengine_up"]) == (200, 1)
        status, text = get(f"{web}/health")
        assert (status, json.loads(text)["worker"]) == (200, "ok")
        status, text = get(f"{port}/worker")
        assert (status, json.loads(text)["queue_depth"]) == (200, 0)
        assert json.loads(text)["last_processed"]
        assert (get(f"{port}/livez"), get(f"{port}/readyz"), get(f"{port}/nothing")[0]) == (
            (200, "ok"),
            (200, "ok"),
            404,
        )
        assert house.program.ok("healthcheck", "--whole", "--json").json["healthy"] is True
        announced = tmp_path / "health.json"
        announced.write_text('{"url": "http://127.0.0.1:1"}')  # of another container on the same directory
        assert house.program.ok("healthcheck", "--json").json["url"] == f"{web}/readyz"
        announced.unlink()
        assert "example.org" not in get(f"{port}/metrics")[1]
        assert daemon.end() == 0
    assert house.program.run("healthcheck").code == 1
    assert "127.0.0.1:1/readyz" in house.program.run("healthcheck", MAILENGINE_HEALTH_PORT="1").complaint
    assert not (tmp_path / "health.json").exists()


def sum_of(port: str, name: str) -> float:
    return sum(value for key, value in samples(get(f"{port}/metrics")[1]).items() if key.startswith(name))


def test_systemd_hears_ready_watchdog_and_stopping(sqlite_dsn: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        house = House(
            sqlite_dsn, tmp_path / "house", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000"
        )
        house.folder.mkdir()
        with house.daemon("--role", "scheduler,worker") as daemon:
            heard = [manager.recv(1000).decode() for _ in range(4)]
            ready = [text for text in heard if text.startswith("READY=1\nSTATUS=")]
            assert len(ready) == 1
            assert heard.count("WATCHDOG=1") == 3
            assert daemon.end() == 0
            manager.settimeout(1)
            while not (said := manager.recv(1000).decode()).startswith("STOPPING=1"):
                assert said == "WATCHDOG=1"


@pytest.mark.parametrize("address", ["/nowhere/notify", "nonsense", "@mailengine-nobody"])
def test_a_manager_that_is_gone_is_no_trouble(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailengine.daemon.notify import notify

    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
