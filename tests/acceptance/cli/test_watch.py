"""`campaign send --watch` and `watch` beside the real daemon."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers.catcher import Catcher
from peers.ports import wait_until
from support.daemon import House

ROLES = ("--role", "worker,scheduler")


def finds_daemon(house: House) -> bool:
    findings = house.program.run("doctor", "--offline", "--json").json["findings"]
    return any(found["name"] == "daemon" and found["level"] == "ok" for found in findings)


def first_look(house: House) -> dict[str, Any]:
    """The first object of a watch that does not end by itself."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "mailengine", "campaign", "watch", "Spring", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, **house.environment, "MAILENGINE_DATA_DIR": str(house.folder)},
    )
    with watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_campaign_is_followed_to_its_end(database_url: str, tmp_path: Path, catcher: Catcher) -> None:
    house = House(database_url, tmp_path, MAILENGINE_WORKER_PROCESSES="1")
    house.campaign(20, catcher.port, launched=False)
    with house.daemon(*ROLES) as daemon:
        wait_until(lambda: finds_daemon(house), "a daemon leads")
        ran = house.program.ok("campaign", "send", "Spring", "--yes", "--watch", "--json")
        looks = [json.loads(line) for line in ran.out.splitlines()]
        assert (looks[-1]["state"], looks[-1]["sent"], looks[-1]["total"]) == ("sent", 20, 20)
        assert all(look["held"] == [] for look in looks)
        assert "no daemon" not in ran.err
        ran = house.program.ok("campaign", "watch", "Spring")
        assert "20" in ran.out
        assert daemon.end() == 0
    assert len(catcher.caught) == 20


def test_what_holds_a_campaign_is_said(database_url: str, tmp_path: Path, catcher: Catcher) -> None:
    house = House(database_url, tmp_path, MAILENGINE_WORKER_PROCESSES="1")
    house.campaign(1, catcher.port, launched=False)
    house.program.ok("kill-switch", "on")
    house.program.ok("campaign", "send", "Spring", "--yes")
    house.program.ok("campaign", "pause", "Spring")
    look = first_look(house)
    assert look["held"] == [
        "it is paused",
        "the kill switch is on",
        "no daemon runs; it is sent when `mailengine daemon` starts",
    ]
