"""What there is, and every key."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from mailengine.tui.widgets.figures import Facts, Words
from mailengine.tui.widgets.text import Ink

KEYS: dict[str, dict[str, str]] = {
    "Everywhere": {
        "1 … 6": "overview, campaigns, contacts, delivery, jobs, logs",
        "Ctrl+P": "command palette: go anywhere, find a campaign",
        "Enter, Escape": "open what the cursor is on; back",
        "/ f [ ]": "in lists: search, next filter, pages",
        "k": "kill switch: stop all sending, or let it go on (asks)",
        "o": "look at another organisation",
        "d": "light or dark",
        "q": "quit; the daemon goes on",
    },
    "Campaigns": {
        "s u": "send, now or at a time (checklist, asks); make a scheduled one a draft again",
        "p r c": "pause, resume, end for good (asks)",
    },
    "Contacts": {
        "t s i": "tag, suppress (asks), import a file",
        "u x m": "in one of them: untag, unsubscribe (asks), older; s mails again",
        "Ctrl+S": "in an import: start; Escape cancels it (asks)",
    },
    "Delivery": {
        "n b": "next tab, the one before",
        "t e": "relays: test the connection, enable or disable (asks)",
        "a l s": "in doubt: it arrived, it is lost (asks), send again (asks)",
        "r R": "dead letters: try one again, all that the search matches (asks)",
    },
    "Jobs": {"c": "stop one (asks)"},
    "Logs": {"/ f space": "search, least severity, hold or follow"},
}


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "leave", "Close")]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 84; max-width: 98%; max-height: 96%; height: auto;
        background: $surface; border: round $primary; padding: 0 1;
    }
    HelpScreen Words { height: auto; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            for number, _section in enumerate(KEYS):
                yield Words(id=f"title-{number}")
                yield Facts(id=f"keys-{number}")
            yield Words(id="last")

    def on_mount(self) -> None:
        style = f"bold {Ink(self.app.current_theme).style('primary')}"
        for number, (section, keys) in enumerate(KEYS.items()):
            self.query_one(f"#title-{number}", Words).say(Text(section, style=style))
            self.query_one(f"#keys-{number}", Facts).show({key: Text(what) for key, what in keys.items()})
        self.query_one("#last", Words).say(
            Text(
                "The mouse works too. Quitting ends an import that runs here; it can be resumed.", style="dim"
            )
        )

    def action_leave(self) -> None:
        self.dismiss()
