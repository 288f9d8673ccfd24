"""What there is, and every key."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Markdown

TEXT = """
# mailengine

| everywhere | |
| --- | --- |
| `1` … `6` | overview, campaigns, contacts, delivery, jobs, logs |
| `Ctrl+P` | command palette: go anywhere, open a campaign, do anything |
| `o` | look at another organisation |
| `d` | light or dark |
| `?` | this page |
| `q` | quit; the daemon goes on |
| `Enter`, `Escape` | open what the cursor is on, and back |
| `/` `f` `[` `]` | in lists: search, next filter, pages |

| where | key | what it does |
| --- | --- | --- |
| overview | `k` | kill switch: stop all sending at once, or let it go on (asks) |
| campaigns | `p` `r` `c` | pause, resume, end for good (asks) |
| contacts | `t` `s` `i` | tag, suppress (asks), import a file |
| a contact | `t` `u` `s` `x` `m` | tag, untag, suppress or mail again, unsubscribe (both ask), older |
| import | `Ctrl+S` | start; `Escape` cancels it (asks) |
| delivery | `n` `b` | relays, pace, messages in doubt, dead letters |
| relays | `t` `e` | test the connection, enable or disable (asks) |
| in doubt | `a` `l` `s` | it arrived, it is lost (asks), send again (asks) |
| dead letters | `r` `R` | try one again, try all that the search matches (asks) |
| jobs | `c` | stop one (asks) |
| logs | `/` `f` `space` | search, least severity, hold or follow |

Everything works with the mouse too. Nothing here is lost when you quit, but an import that runs: it can be resumed.
"""


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 90; max-width: 96%; max-height: 94%; height: auto; background: $surface;
        border: round $primary; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown(TEXT, open_links=False)
