"""A table that changes in place: a cell that is the same is not drawn again, the cursor stays on its row, and columns
come and go with the room that there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.widgets import DataTable

_PADDING = 2  # cells beside each column
_SCROLLBAR = 2
_LEAST = 12  # of the column that takes the rest


@dataclass(frozen=True, slots=True)
class Column:
    """`width` None takes what the others leave; `room` is how wide the table must be for it to be shown."""

    key: str
    label: str
    width: int | None = None
    room: int = 0
    right: bool = False


class LiveTable(DataTable[Text]):
    """Rows have keys; a row's cells are in the order of all columns, whichever are shown."""

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=_PADDING // 2)
        self._columns = tuple(columns)
        self._shown: list[tuple[int, Column, int]] = []
        self._cells: dict[str, tuple[Text, ...]] = {}

    def show(self, rows: Mapping[str, Sequence[Text]]) -> None:
        """The rows as they are now."""
        wanted = {key: tuple(cells) for key, cells in rows.items()}
        before, self._cells = self._cells, wanted
        if list(before) != list(wanted) or not self._shown:
            self._fill()
            return
        for key, cells in wanted.items():
            for number, column, _width in self._shown:
                if cells[number] != before[key][number]:
                    self.update_cell(key, column.key, cells[number])

    @property
    def chosen(self) -> str | None:
        """The key of the row with the cursor."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def on_resize(self, event: events.Resize) -> None:
        if self._fitted(event.size.width) != self._shown:
            self._fill()

    def _fitted(self, width: int) -> list[tuple[int, Column, int]]:
        """The columns that are shown, with their places among all and their widths."""
        there = [(number, column) for number, column in enumerate(self._columns) if width >= column.room]
        fixed = sum((column.width or 0) + _PADDING for _number, column in there)
        rest = max(_LEAST, width - fixed - _SCROLLBAR)
        return [(number, column, column.width or rest) for number, column in there]

    def _fill(self) -> None:
        """Draw all anew; the cursor goes to the same row, or stays where it was when that is gone."""
        chosen, place = self.chosen, self.cursor_row
        fitted = self._fitted(self.size.width)
        with self.app.batch_update():
            self.clear(columns=fitted != self._shown)
            if fitted != self._shown:
                self._shown = fitted
                for _number, column, width in fitted:
                    label = Text(column.label, justify="right" if column.right else "left")
                    self.add_column(label, width=width, key=column.key)
            for key, cells in self._cells.items():
                self.add_row(*(cells[number] for number, _column, _width in fitted), key=key)
            if self._cells:
                keys = list(self._cells)
                row = keys.index(chosen) if chosen in self._cells else min(place, len(keys) - 1)
                self.move_cursor(row=row)
