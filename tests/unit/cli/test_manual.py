"""The manual page is one that groff sets without a word, and names every command."""

import re
import shutil
import subprocess

import pytest
import typer

from mailengine.cli.main import app
from mailengine.cli.manual import page


def test_every_command_is_in_it() -> None:
    text = page().replace("\\-", "-")
    group = typer.main.get_group(app)
    for name, command in group.commands.items():
        for path in [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]:
            assert f".SS mailengine {path}" in text


def test_groff_has_nothing_to_say() -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff on this machine")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-Kutf8"],
        input=page(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mailengine campaign send" in re.sub(".\b", "", done.stdout)  # bold is written twice
