"""The evidence of what was on the wire outlives the process that wrote it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailengine.domain.delivery.journal import (
    Evidence,
    WireJournal,
    WireRecord,
    WireState,
    abandoned,
    exists,
)

WRITER = """
import os, signal, sys
from pathlib import Path
from mailengine.domain.delivery.journal import WireJournal
journal = WireJournal(Path(sys.argv[1]), "token", room=5)
journal.fill([11, 12, 13, 14])
journal.on_wire(0)
journal.accepted(0, "250 2.0.0 Ok: queued as \\u00e4\\u00f6")
journal.on_wire(1)
journal.on_wire(2)
journal.refused(2)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_owner_leaves_what_it_wrote(tmp_path: Path) -> None:
    writer = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False)
    assert writer.returncode == -signal.SIGKILL
    (left,) = [(journal.claim_token, journal.read().records) for journal in abandoned(tmp_path)]
    assert left == (
        "token",
        [
            WireRecord(11, WireState.ACCEPTED, "250 2.0.0 Ok: queued as äö"),
            WireRecord(12, WireState.ON_WIRE, ""),
            WireRecord(13, WireState.REFUSED, ""),
            WireRecord(14, WireState.REST, ""),
        ],
    )


def test_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    journal = WireJournal(tmp_path, "token", room=5)
    journal.fill([1])
    assert list(abandoned(tmp_path)) == []
    assert exists(tmp_path, "token")
    journal.remove()
    assert not exists(tmp_path, "token")


def test_a_claim_that_was_never_named_has_no_records(tmp_path: Path) -> None:
    WireJournal(tmp_path, "token", room=5).abandon()
    assert [journal.read() for journal in abandoned(tmp_path)] == [Evidence([], intact=True)]


def test_an_unnamed_draft_of_a_dead_process_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "token.new").touch()
    assert list(abandoned(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_recovery_took_for_dead_is_made_again(tmp_path: Path) -> None:
    """Between a draft's making and its lock there is a moment in which it looks abandoned."""
    done = threading.Event()

    def look_all_the_time() -> None:
        while not done.is_set():
            assert list(abandoned(tmp_path)) == []

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look_all_the_time)
        try:
            for number in range(300):
                WireJournal(tmp_path, f"t{number}", room=5).remove()
        finally:
            done.set()
        looking.result()
    assert list(tmp_path.iterdir()) == []


def test_words_are_cut_and_may_hold_anything(tmp_path: Path) -> None:
    journal = WireJournal(tmp_path, "token", room=5)
    journal.fill([1])
    journal.accepted(0, "ü" * 500)
    journal.abandon()
    ((record,),) = [left.read().records for left in abandoned(tmp_path)]
    assert record.state is WireState.ACCEPTED
    assert record.words.startswith("ü" * 60)


@pytest.mark.parametrize(
    "content",
    [b"", b"MEwire01", bytes(500), b"MEwire01" + b"\xff" * 8, b"MEwire02" + bytes(492), os.urandom(200)],
    ids=["empty", "its head alone", "zeros", "ones", "another format", "noise"],
)
def test_a_damaged_journal_says_nothing_of_its_claim(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token.wire").write_bytes(content)
    assert [journal.read() for journal in abandoned(tmp_path)] == [Evidence([], intact=False)]


def test_a_token_is_used_once(tmp_path: Path) -> None:
    journal = WireJournal(tmp_path, "token", room=5)
    (tmp_path / "token.new").touch()
    with pytest.raises(FileExistsError):
        WireJournal(tmp_path, "token", room=5)
    journal.remove()
