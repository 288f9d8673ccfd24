"""Figures with a name below them, and lines of `name  value`."""

from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Grid
from textual.widgets import Static


class Words(Static):
    """Text that is drawn again only when it changed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._said: Text | None = None

    def say(self, text: Text) -> None:
        before, self._said = self._said, text
        if before is None or text != before:
            # Laying out draws the whole screen again; a figure in a tile, or with other digits, takes the same room.
            moved = before is None or (self._follows_its_text() and _room(text) != _room(before))
            self.update(text, layout=moved)

    def _follows_its_text(self) -> bool:
        """Whether its size is that of its text; without a width it is as wide as there is room."""
        width, height = self.styles.width, self.styles.height
        return height is None or height.is_auto or (width is not None and width.is_auto)

    @property
    def said(self) -> str:
        """What stands there."""
        return "" if self._said is None else self._said.plain


def _room(text: Text) -> tuple[int, ...]:
    return tuple(len(line) for line in text.plain.split("\n"))


class Figures(Grid):
    """A row of figures, or two where the terminal is narrow."""

    DEFAULT_CSS = """
    Figures {
        grid-size: 3;
        grid-gutter: 0 1;
        height: auto;
        grid-rows: 2;
    }
    Figures.-wide { grid-size: 6; }
    Figures > Words { height: 2; background: $surface; padding: 0 1; }
    """

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = tuple(names)

    def compose(self) -> ComposeResult:
        for number in range(len(self._names)):
            yield Words(id=f"{self.id}-{number}")

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 100, "-wide")

    def show(self, values: Sequence[tuple[str, str]], *, quiet: str) -> None:
        """Value and colour of each, in the order of the names; `quiet` is the colour of the names."""
        for number, (name, (value, style)) in enumerate(zip(self._names, values, strict=True)):
            words = self.query_one(f"#{self.id}-{number}", Words)
            words.say(Text.assemble((value, f"bold {style}".strip()), "\n", (name, quiet)))


class Facts(Words):
    """Aligned lines of `name  value`; what has no value is left out."""

    def show(self, facts: Mapping[str, Text]) -> None:
        width = max((len(name) for name, value in facts.items() if value.plain), default=0)
        lines = [
            Text.assemble((f"{name:{width}}  ", "bold"), value)
            for name, value in facts.items()
            if value.plain
        ]
        self.say(Text("\n").join(lines))
