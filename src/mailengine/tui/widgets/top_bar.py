"""Two lines on every screen: who is looked at and whether a daemon works; the sections."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from mailengine.core.terminal import one_line
from mailengine.tui.source.beat import Beat
from mailengine.tui.widgets.figures import Words
from mailengine.tui.widgets.seen import is_seen
from mailengine.tui.widgets.text import Ink, rate

SECTIONS = ("overview", "campaigns", "contacts", "delivery", "jobs", "logs")
_LOOK_SECONDS = 0.5


class TopBar(Vertical):
    DEFAULT_CSS = """
    TopBar { height: 2; dock: top; background: $panel; }
    TopBar > * { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    TopBar > #sections { background: $surface; link-style: none; link-color: $foreground; }
    """

    def __init__(self, beat: Beat, section: str) -> None:
        super().__init__()
        self._beat, self._section = beat, section
        self._words = Words(id="condition")
        self.trouble = ""  # of the screen's own questions

    def compose(self) -> ComposeResult:
        yield self._words
        links = (
            f"[@click=app.go('{name}')]{'[reverse]' if name == self._section else ''} {number} {name.title()} "
            f"{'[/reverse]' if name == self._section else ''}[/]"
            for number, name in enumerate(SECTIONS, 1)
        )
        yield Static("".join(links) + "[@click=app.help] ? Help [/]", id="sections")

    def on_mount(self) -> None:
        self.set_interval(_LOOK_SECONDS, self.refresh_line)
        self.refresh_line()

    def refresh_line(self) -> None:
        """Say how things stand; nothing is drawn when nothing changed."""
        if is_seen(self.screen):
            self._words.say(self._line(Ink(self.app.current_theme)))

    def _line(self, ink: Ink) -> Text:
        beat, found = self._beat, self._beat.condition
        parts = Text.assemble(("mailengine", "bold"), f" · {one_line(beat.desk.tenant)} · ", no_wrap=True)
        trouble = beat.trouble or self.trouble
        if trouble:
            return parts.append(f"✗ {one_line(trouble)}", style=f"bold {ink.style('error')}")
        if found.switch is not None:
            whose = "all sending is stopped" if found.of_all else "this tenant's sending is stopped"
            reason = f": {one_line(found.switch.reason)}" if found.switch.reason else ""
            return parts.append(f"■ KILL SWITCH, {whose}{reason}", style=f"bold {ink.style('error')}")
        if not found.lives:
            words = "○ no daemon runs; start `mailengine daemon`"
            return parts.append(words, style=ink.style("warning"))
        if not found.machines:
            return parts.append("◐ a daemon runs, but no worker sends", style=ink.style("warning"))
        return parts.append(f"● {rate(beat.rate)}", style=ink.style("success"))
