"""`service`: the unit that is written is one that systemd takes without a word, and a tight one."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.program import Program

HOSTILE = 'data $HOME %n ?x#y "x"'


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    made = Program(tmp_path_factory.mktemp("service") / "data")
    made.init()
    return made


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    environment = {**os.environ, "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", "/tmp")}  # for --user
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize("kind", [(), ("--user",)], ids=["system", "user"])
def test_systemd_takes_the_unit_without_a_word(
    program: Program, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    unit = tmp_path / "mailengine.service"
    unit.write_text(program.ok("service", "install", "--print", *kind).out)
    done = analyze("verify", "--man=no", *kind, str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")  # an unknown key is only said


def test_the_unit_is_tight_and_leaves_time_to_drain(program: Program, tmp_path: Path) -> None:
    unit = tmp_path / "mailengine.service"
    text = program.ok("service", "install", "--print", MAILENGINE_WORKER_DRAIN_SECONDS="55").out
    unit.write_text(text)
    assert "TimeoutStopSec=95" in text
    assert "Type=notify" in text
    done = analyze("security", "--offline=true", "--threshold=25", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout


def test_a_low_port_is_the_only_privilege(program: Program) -> None:
    assert "CapabilityBoundingSet=\n" in program.ok("service", "install", "--print").out
    low = program.ok("service", "install", "--print", MAILENGINE_WEB_PORT="443").out
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in low


def test_strange_paths_are_taken_literally(tmp_path: Path) -> None:
    strange = Program(tmp_path / HOSTILE)
    strange.init()
    text = strange.ok("service", "install", "--print").out
    assert f'"{tmp_path}/data $$HOME %%n ?x#y \\"x\\""' in text
    unit = tmp_path / "mailengine.service"
    unit.write_text(text)
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_install_status_uninstall(program: Program, tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    made = program.ok("service", "install", "--user", "--no-start", "--json", **home).json
    unit = Path(made["unit"])
    assert unit == tmp_path / "systemd/user/mailengine.service"
    assert str(program.data_dir) in unit.read_text()
    ran = program.run("service", "status", "--user", "--json", **home)
    assert (ran.code, json.loads(ran.out)["unit"]) == (1, str(unit))
    assert program.run("service", "uninstall", "--user", **home).code == 2
    program.ok("service", "uninstall", "--user", "--yes", **home)
    assert not unit.exists()
    assert "no service" in program.run("service", "uninstall", "--user", "--yes", **home).complaint


def test_roles_and_installations_that_are_not_there(program: Program, tmp_path: Path) -> None:
    assert program.run("service", "install", "--print", "--role", "cook").code == 2
    assert "init" in Program(tmp_path / "none").run("service", "install", "--print").complaint
