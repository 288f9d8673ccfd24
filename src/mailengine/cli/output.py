"""The only writer to stdout. stdout is data, stderr is narration; `--json` prints one JSON document."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from mailengine.core.terminal import one_line as one_line  # commands use it by this name
from mailengine.core.terminal import visible

# Numbers that name something: a person copies them into the next command, so they have no separators.
_LABELS = frozenset({"id", "job", "line", "port", "code"})
_PIPE_COLUMNS = 1000  # where no terminal is: a row stays one line, for grep

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def emit(value: Any, *, as_json: bool, text: Callable[[], None] | None = None) -> None:
    """Print a result: JSON when asked for, else what `text` prints (default: the value's key-value lines)."""
    if as_json:
        line(json_text(value))
    elif text is not None:
        text()
    else:
        fields(value)


def json_text(value: Any) -> str:
    """A result as an indented JSON document."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=_encode)


def json_line(value: Any) -> None:
    """One JSON document in one line, written at once: for those who follow."""
    line(json.dumps(value, ensure_ascii=False, default=_encode))
    sys.stdout.flush()


def line(text: str) -> None:
    """One line of data on stdout."""
    print(visible(text))  # noqa: T201


def raw(content: bytes) -> None:
    """Bytes as they are (a message, a file) on stdout."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Narration for the person who watches, on stderr."""
    print(visible(text), file=sys.stderr)  # noqa: T201


def fields(values: Mapping[str, Any]) -> None:
    """Aligned `name  value` lines."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        line(f"{name.replace('_', ' '):{width}}  {_named(name, value)}")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """A table as wide as the terminal, nothing cut off; `empty` says what to do when there is nothing yet."""
    from rich.console import Console  # 40 ms that `--help` need not pay
    from rich.table import Table
    from rich.text import Text

    if not rows:
        note(empty)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        grid.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_named(column, row.get(column))) for column in columns))
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    Console(file=sys.stdout, highlight=False, width=width).print(grid)


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _named(name: str, value: Any) -> str:
    return str(value) if name in _LABELS and isinstance(value, int) else _plain(value)


def _plain(value: Any) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M")
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(_plain(item) for item in value)
        case dict():
            return ", ".join(f"{key}={_plain(item)}" for key, item in value.items()) or "-"
        case _:
            return one_line(str(value))
