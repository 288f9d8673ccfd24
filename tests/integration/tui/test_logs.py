"""The daemon's log in the dashboard."""

from pathlib import Path

import pytest

from mailengine.core.config import load_settings
from mailengine.core.log import daemon_log, daemon_log_file
from mailengine.core.log_file import LogFile
from mailengine.tui.source.logs import LogTail
from support.dashboard import dashboard
from support.world import a_world

pytestmark = pytest.mark.anyio


def say(file: LogFile, event: str, level: str = "info", **fields: object) -> None:
    at = "2026-11-22T12:00:00Z"
    file(None, level, {"timestamp": at, "level": level, "part": "worker", "event": event, **fields})


async def test_the_log_is_followed_searched_and_held(sqlite_dsn: str, tmp_path: Path) -> None:
    async with a_world(sqlite_dsn, tmp_path) as world, dashboard(world) as driver:
        await driver.press("6")
        await driver.sees("no daemon has written a log here")
        file = daemon_log_file(world.settings, turns=True)
        assert file is not None
        say(file, "started", version="1")
        say(file, "relay [b]refuses[/b]\x1b[2J", "warning", relay="main")
        await driver.sees("started", "version=1", r"relay [b]refuses[/b]\u001b[2J", "2 lines", "following")
        await driver.press("f", "f")
        await driver.loses("started")
        await driver.sees("warning and above", "relay=main")
        await driver.press("f", "f")
        await driver.sees("debug and above", "started")
        await driver.press("slash")
        await driver.type("relay=main")
        await driver.loses("version=1")
        await driver.press(*["backspace"] * 10)
        await driver.press("enter", "space")
        await driver.sees("held")
        say(file, "a late one")
        await driver.sees("3 lines")
        assert "a late one" not in driver.screen
        await driver.press("space")
        await driver.sees("a late one", "following")


def test_no_line_is_lost_when_the_file_is_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "daemon.log"
    supervisor = LogFile(path, most_bytes=1000, turns=True)
    worker = LogFile(path, most_bytes=1000, turns=False)
    tail, seen = LogTail(path), []
    for number in range(200):
        say(supervisor if number % 2 else worker, f"event {number}")
        if number % 3 == 0:
            seen += tail.more()
    seen += tail.more()
    assert [line.event for line in seen] == [f"event {number}" for number in range(200)]
    assert {found.name for found in path.parent.iterdir()} == {"daemon.log", "daemon.log.1"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_tail_begins_with_whole_lines_and_passes_over_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_bytes(b'{"event": "' + b"x" * 300_000 + b'"}\n[1]\nno json\n{"event": "last"}\n{"event": "ha')
    tail = LogTail(path)
    assert [line.event for line in tail.more()] == ["last"]
    with path.open("ab") as file:
        file.write(b'lf"}\n')
    assert [line.event for line in tail.more()] == ["half"]
    path.write_text('{"event": "cut"}\n')
    assert [line.event for line in tail.more()] == ["cut"]


def test_there_may_be_no_file(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, log={"file_megabytes": 0})
    assert daemon_log_file(settings, turns=True) is None
    assert LogTail(daemon_log(settings)).more() == []


def test_a_full_disk_or_a_missing_folder_costs_the_line_alone(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "no" / "folder" / "daemon.log", most_bytes=1000, turns=True)
    say(file, "lost")
    assert not (tmp_path / "no").exists()
    (tmp_path / "logs").write_text("a file in its place")
    say(LogFile(tmp_path / "logs" / "daemon.log", most_bytes=1000, turns=True), "lost")
