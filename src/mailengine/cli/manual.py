"""The manual page, made from the help of the commands: `python -m mailengine.cli.manual` prints it (man-pages(7))."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from mailengine import __version__
from mailengine.cli.main import app

_HEAD = """\
.TH MAILENGINE 1 "" "mailengine {version}" "User Commands"
.SH NAME
mailengine \\- newsletters and transactional mail from your own machine
.SH SYNOPSIS
.B mailengine
.RI [ options ]
.I command
.RI [ arguments ]
.SH DESCRIPTION
Import contacts, design messages, send campaigns, follow what becomes of each message.
Data goes to standard output, narration to standard error;
.B \\-\\-json
prints one JSON document.
"""
_TAIL = """\
.SH EXIT STATUS
0 on success, 1 when something was refused, not found or failed, 2 for wrong usage or input that cannot be used.
.SH ENVIRONMENT
.TP
.B MAILENGINE_DATA_DIR
The directory of the installation.
.TP
.B MAILENGINE_CONFIG
The settings file; by default
.I mailengine.toml
in the data directory.
.TP
.B MAILENGINE_TENANT
The organisation that commands act for, where there are several.
.PP
Every setting has a variable:
.B mailengine config show \\-\\-origin
lists them.
"""


def page() -> str:
    """The page in roff."""
    program = typer.main.get_command(app)
    parts = [_HEAD.format(version=__version__), ".SH OPTIONS\n", *_options(program), ".SH COMMANDS\n"]
    for path, command in _commands(program, ()):
        parts.append(f".SS {_escaped(' '.join(('mailengine', *path)))}\n")
        parts.append(_escaped(" ".join((command.help or "").split())) + "\n")
        parts += _options(command)
    return "".join([*parts, _TAIL])


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


def _options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = parameter.metavar or str(parameter.name).upper()
        said = " ".join((getattr(parameter, "help", None) or "").split())
        yield f".TP\n.B {_escaped(names)}\n{_escaped(said) or 'See above.'}\n"


def _escaped(text: str) -> str:
    """Hyphens as typed, and nothing that begins a line looks like a request (groff_man_style(7))."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(page())
