"""The table of settings in docs and the example file: `python tests/support/settings_table.py` writes both anew."""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from mailengine.cli.settings_file import example
from mailengine.core.config import setting_fields, variable_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "mailengine.example.toml"
START, END = "<!-- settings: start -->\n", "<!-- settings: end -->\n"


def table() -> str:
    """Every setting with its name in a file, its environment variable, default and purpose."""
    rows = [
        f"| `{name}` | `{variable_of(name)}` | {_default(field)} | {field.description} |"
        for name, field in setting_fields().items()
    ]
    return "\n".join(
        ["| in the file | in the environment | default | what it is |", "| --- | --- | --- | --- |", *rows]
    )


def renewed(page: str) -> str:
    """The page with its table as the code says."""
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}{table()}\n{END}{tail}"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the user's data directory"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"  # as TOML writes it
    return f"`{field.default}`" if field.default not in (None, (), "") else "none"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
    EXAMPLE.write_text(example())
    sys.stdout.write(f"wrote {PAGE.name}, {EXAMPLE.name}\n")
