"""The dashboard in a real terminal, beside a daemon that sends."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peers.ports import wait_until
from peers.sink import CountingSink
from peers.tmux import Terminal, clearings
from support.daemon import House, compare
from support.program import Program

pytestmark = [pytest.mark.peer("tmux"), pytest.mark.timeout(300)]
COUNT = 1_600


@contextmanager
def dashboard(house: House, width: int = 80, height: int = 24) -> Iterator[Terminal]:
    environment = {**house.environment, "MAILENGINE_DATA_DIR": str(house.folder)}
    terminal = Terminal(
        house.folder / "tmux",
        [sys.executable, "-m", "mailengine", "tui"],
        width=width,
        height=height,
        **environment,
    )
    try:
        yield terminal
    finally:
        terminal.stop()


def test_it_is_watched_paused_and_resized_beside_a_daemon_that_sends(
    sqlite_dsn: str, tmp_path: Path, counting_sink: Callable[..., CountingSink]
) -> None:
    house = House(sqlite_dsn, tmp_path, MAILENGINE_WORKER_PROCESSES="1", MAILENGINE_WORKER_CONNECTIONS="4")
    sink = counting_sink(delay_ms=20)
    house.campaign(COUNT, sink.port)
    with dashboard(house) as terminal:

        def sees(*words: str) -> None:
            wait_until(lambda: all(word in terminal.screen() for word in words), f"sees {words}", 90)

        try:
            sees("no daemon runs", "Spring")
            with house.daemon() as daemon:
                sees("● ", "/s", "on 1 machine")
                terminal.record(tmp_path / "written")
                terminal.press("2")
                sees("search by name", "sending")
                terminal.press("p")
                sees("paused")
                house.wait_for_tally(lambda tally: "claimed" not in tally, "what was claimed is put back")
                sent = house.tally()["sent"]
                assert sent < COUNT
                terminal.press("Enter")
                sees("it is paused", "News for")
                written = (tmp_path / "written").read_bytes()
                assert written
                assert clearings(written) == 0, "it flickers"
                terminal.resize(120, 40)
                wait_until(lambda: max(map(len, terminal.screen().splitlines())) > 80, "it uses the room", 90)
                terminal.press("r")
                sees("Spring goes on")
                house.wait_for_state("sent")
                sees("100%")
                terminal.press("6")
                sees("started", "following")
                terminal.press("q")
                wait_until(lambda: terminal.ended, "it ends", 90)
                assert daemon.process.poll() is None
                assert daemon.end() == 0
        except (AssertionError, TimeoutError):
            print(terminal.screen())
            raise
    assert compare(house, sink) == set()


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    program = Program(tmp_path)
    assert program.run("tui").code == 2
    assert re.search("needs a terminal", program.run("tui").complaint)
