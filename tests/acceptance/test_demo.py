"""`mailengine demo`: the promise of the README, kept by the program itself and counted again from outside."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.program import Program

pytestmark = pytest.mark.timeout(240)


def test_the_main_job_from_a_bare_directory(tmp_path: Path) -> None:
    ran = Program(tmp_path / "unused").ok("demo", "--exit", "--json", "--data-dir", str(tmp_path / "demo"))
    told = ran.json
    assert told["exactly_once"] is True
    assert told["contacts"] == told["messages"] == told["import"]["created"] == 973
    assert told["import"]["rejected"] == 12
    assert told["import"]["duplicates"] == 15
    caught = [path for folder in ("new", "cur") for path in (tmp_path / "demo/caught" / folder).iterdir()]
    assert len(caught) == 973
    report, acts = told["campaign"], told["recipients"]
    assert report["progress"]["state"] == "sent"
    assert report["progress"]["sent"] == 973
    assert report["opens"]["unique"] == acts["opens"] > 300
    assert report["clicks"]["unique"] == acts["clicks"] > 100
    assert report["unsubscribes"] == acts["unsubscribes"] > 5
    assert acts["refused"] == 0
    assert not (tmp_path / "unused").exists()


def test_no_installation_is_overwritten(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.init()
    ran = program.run("demo", "--exit", "--data-dir", str(tmp_path))
    assert ran.code == 1
    assert "holds an installation already" in ran.err


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """What is printed can be visited; a Ctrl-C leaves no process behind."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILENGINE_WEB")}
    command = [sys.executable, "-m", "mailengine", "demo", "--data-dir", str(tmp_path), "--port", "0"]
    demo = subprocess.Popen(
        [*command, "--contacts", "40"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=kept
    )
    assert demo.stderr is not None
    with demo.stderr as said:
        lines = []
        for line in said:
            lines.append(line)
            if "Serving until" in line:
                break
        words = "".join(lines).split()
        page = next(word for word in words if word.endswith("/caught"))
        with urllib.request.urlopen(page.removesuffix("caught") + "livez", timeout=20) as answer:
            assert answer.read() == b"ok"
        demo.send_signal(signal.SIGINT)
        said.read()
    assert demo.wait(60) == 130
    assert not (tmp_path / "daemon.json").exists()
