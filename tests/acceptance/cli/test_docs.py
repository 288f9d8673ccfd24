"""docs/cli.md names every command, in the words of its help."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mailengine.cli.main import app

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_table_of_commands_is_the_programs() -> None:
    table = PAGE.read_text().split("<!-- commands -->")[1].split("<!-- end of commands -->")[0]
    expected = ["| command | what it does |", "| --- | --- |", *_rows(typer.main.get_command(app), ())]
    assert table.split("\n") == ["", *expected, ""], "paste this table:\n" + "\n".join(expected)


def _rows(group: Any, path: tuple[str, ...]) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _rows(command, (*path, name))
        else:
            said = " ".join((command.help or "").partition("\n\n")[0].split())
            yield f"| `mailengine {' '.join((*path, name))}` | {said} |"
