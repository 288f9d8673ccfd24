"""The daemon's log as it is written: by severity, by words, and held still to be read."""

from collections import deque
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, RichLog

from mailengine.core.errors import Unavailable
from mailengine.core.terminal import one_line
from mailengine.core.wording import counted
from mailengine.tui.screens.page import Page
from mailengine.tui.source.logs import LogLine
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.figures import Words

_KEPT = 5_000  # lines
_LEVELS = ("debug", "info", "warning", "error")


class LogsScreen(Page):
    section = "logs"
    look_seconds = 0.5
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/"),
        Binding("f", "level", "Severity"),
        Binding("space", "hold", "Hold or follow", key_display="space"),
        Binding("escape", "to_log", show=False),
    ]
    DEFAULT_CSS = """
    LogsScreen Horizontal { height: 1; }
    LogsScreen Input { width: 1fr; border: none; height: 1; padding: 0 1; }
    LogsScreen #log-summary { width: auto; padding: 0 1; color: $text-muted; }
    LogsScreen RichLog { height: 1fr; padding: 0 1; background: $background; }
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._tail = source.logs()
        self._lines: deque[LogLine] = deque(maxlen=_KEPT)
        self._level, self._text, self._held = "debug", "", False

    def body(self) -> ComposeResult:
        with Horizontal():
            yield Input(placeholder="words that a line must hold", id="log-search", compact=True)
            yield Words(id="log-summary")
        yield RichLog(max_lines=_KEPT, min_width=20, wrap=True, id="log")

    def on_mount(self) -> None:
        self.query_one(RichLog).focus()

    async def look(self) -> None:
        try:
            new = self._tail.more()
        except OSError as error:
            raise Unavailable(f"{self._tail.path} cannot be read: {error.strerror}") from error
        self._lines.extend(new)
        if not self._held:
            self._write([line for line in new if self._wanted(line)])
        self._say()

    def _say(self) -> None:
        if not self._lines and not self._tail.path.exists():
            said = "no daemon has written a log here" + (
                "; log.file_megabytes is 0" if not self.source.desk.rt.settings.log.file_megabytes else ""
            )
        else:
            lines = counted(len(self._lines), "line", "lines")
            said = f"{self._level} and above · {'held' if self._held else 'following'} · {lines}"
        self.query_one("#log-summary", Words).say(Text(said))

    def _wanted(self, line: LogLine) -> bool:
        level = _LEVELS.index(line.level) if line.level in _LEVELS else len(_LEVELS)
        return level >= _LEVELS.index(self._level) and self._text in line.text.casefold()

    def _write(self, lines: list[LogLine]) -> None:
        log = self.query_one(RichLog)
        for line in lines:
            log.write(self._drawn(line))

    def _drawn(self, line: LogLine) -> Text:
        fields = "".join(f"  {name}={one_line(str(value))}" for name, value in line.fields.items())
        return Text.assemble(
            (f"{_when(line.at)}  ", "dim"),
            self._level_of(line),
            f"  {one_line(line.event)}",
            (f"  {one_line(line.part)}" if line.part else "", "dim"),
            (fields, self.ink.style("primary")),
        )

    def _level_of(self, line: LogLine) -> Text:
        return Text(f"{one_line(line.level):7}", style=self.ink.state(line.level).style)

    def _anew(self) -> None:
        """Everything that is kept, by the filters as they are now."""
        self.query_one(RichLog).clear()
        self._write([line for line in self._lines if self._wanted(line)])
        self._say()

    def start_anew(self) -> None:
        """The log is the installation's, whoever is looked at."""

    def on_input_changed(self, event: Input.Changed) -> None:
        self._text = event.value.casefold()
        self._anew()

    def on_input_submitted(self) -> None:
        self.query_one(RichLog).focus()

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_to_log(self) -> None:
        self.query_one(RichLog).focus()

    def action_level(self) -> None:
        self._level = _LEVELS[(_LEVELS.index(self._level) + 1) % len(_LEVELS)]
        self._anew()

    def action_hold(self) -> None:
        """Stand still to be read; what comes meanwhile is shown when it follows again."""
        self._held = not self._held
        self.query_one(RichLog).auto_scroll = not self._held
        if not self._held:
            self._anew()
        self._say()


def _when(at: str) -> str:
    """In the terminal's time zone; what is no time stays as it stands there."""
    try:
        return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return one_line(at)
