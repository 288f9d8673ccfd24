"""The table of commands says of each command what it is, in one line, and names every module that has one."""

import subprocess
import sys
from pathlib import Path

import typer

from mailengine.cli import commands
from mailengine.cli.main import app
from mailengine.cli.tree import TOPICS


def test_every_line_of_help_fits_and_every_place_exists() -> None:
    group = typer.main.get_group(app)
    for topic in TOPICS.values():
        for name, (_place, summary) in topic.items():
            command = group.commands[name]
            assert command.name == name
            assert command.get_short_help_str(limit=100) == summary
            assert len(summary) <= 58, summary


def test_help_imports_no_command() -> None:
    """Nor what commands stand on: it is there at once."""
    program = (
        "import sys; from mailengine.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('mailengine.cli.commands.', 'sqlalchemy'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "Commands" not in done.stdout
    assert "Operation:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_module_of_commands_is_forgotten() -> None:
    """One is in the table, or another module that is puts its commands under its own noun."""
    sources = {path.stem: path.read_text() for path in Path(commands.__path__[0]).glob("[a-z]*.py")}
    listed = {place.partition(":")[0] for topic in TOPICS.values() for place, _summary in topic.values()}
    used = {
        name
        for name in sources
        for source in sources.values()
        if f"commands.{name} import" in source or f"commands import {name}" in source
    }
    assert set(sources) - listed - used == set()
