"""Answers that a command needs: given as options, or asked for where a person sits at the terminal."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from mailengine.core.errors import InvalidInput


def at_terminal() -> bool:
    return sys.stdin.isatty()


def answer(
    value: str | None,
    option: str,
    question: str,
    check: Callable[[str], str],
    *,
    ask: bool,
    hidden: bool = False,
) -> str:
    """The checked value of an option; asked for until it passes when it is missing and `ask` is true."""
    if value is not None:
        return check(value)
    if not ask:
        raise InvalidInput(f"{option} is missing; give it, or run without --yes in a terminal to be asked")

    def checked(text: str) -> str:
        try:
            return check(text)
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from error

    answered: str = typer.prompt(
        question, value_proc=checked, hide_input=hidden, confirmation_prompt=hidden, err=True
    )
    return answered


def secret_from(value: str | None, file: Path | None, option: str) -> str | None:
    """A secret given by `--x TEXT` or `--x-file PATH` (`-` reads standard input), None for neither."""
    if value is not None and file is not None:
        raise InvalidInput(f"give {option} or {option}-file, not both")
    if file is None:
        return value
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidInput(f"{option}-file: cannot read {file}: {reason}") from error
    return text.rstrip("\r\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; raises InvalidInput where nobody can answer, Abort for a no."""
    if yes:
        return
    if not at_terminal():
        raise InvalidInput("this asks before it acts; run it in a terminal, or with --yes")
    typer.confirm(question, abort=True, err=True)
