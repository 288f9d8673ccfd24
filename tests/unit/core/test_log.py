"""The log: addresses are cut, and a line that cannot be written costs nobody more than the line."""

import io
import sys
from pathlib import Path

import pytest
import structlog

from mailengine.core import log
from mailengine.core.config import LogSettings


@pytest.fixture(autouse=True)
def _restored() -> "object":
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_addresses_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(LogSettings(json_lines=True))
    log.get_logger("test").info("sent", to="ann.lee@example.org", campaign=7)
    written = capsys.readouterr().err
    assert "ann.lee" not in written
    assert "a***@example.org" in written
    assert '"campaign": 7' in written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_takes_the_line_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    log.configure(LogSettings())
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stderr", full)
    log.get_logger("test").error("the disk is full")
    monkeypatch.undo()
    with pytest.raises(OSError, match="space"):
        full.write("proof that it is full\n")
    full.detach().close()  # type: ignore[no-untyped-call]
